"""Frames of a clip as RGB arrays: decord where it can be trusted, PyAV elsewhere, pictures for folders.

decord 0.6 is fast at picking frames but gives wrong shapes for tiny pictures, reads some damaged files without a
complaint and knows no AV1 or GIF. So it is used only when it agrees with PyAV on count, shape and first picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.video.config import DecodeLimits
from mvmodel.video.probe import UnusableClip, VideoInfo, _words, image_files, open_video, probe_video

_DECORD_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "mpeg4", "mpeg2video", "mjpeg"})
_DECORD_PIXELS = frozenset({"yuv420p", "yuvj420p"})
"""Pixel formats that decord is tried on; in 10 bit its colours are off by several grey levels."""
_DECORD_MIN_SIDE = 16
_AGREE = 6.0
"""Largest mean difference, in grey levels, at which two decoders' pictures count as the same."""
_CHUNK = 16


class DecodedVideo:
    """Decoded frames: `frames` uint8 RGB (F, H, W, 3), and `fps`, the rate they were filmed at."""

    def __init__(self, frames: np.ndarray, fps: float) -> None:
        self.frames, self.fps = frames, fps


def check_limits(path: Path, info: VideoInfo, limits: DecodeLimits) -> None:
    """Raise UnusableClip naming the limit that a clip exceeds."""
    if info.width * info.height > limits.pixels:
        reason = f"{info.width}x{info.height} is more than the limit of {limits.pixels:,} pixels; scale it down"
    elif info.frames > limits.frames or info.duration_s > limits.seconds:
        reason = (
            f"{info.frames} frames or {info.duration_s:.0f} s are more than the limit of {limits.frames} frames or "
            f"{limits.seconds:.0f} s; cut the file into parts"
        )
    else:
        return
    raise UnusableClip(path, reason, info)


def decode(
    path: Path,
    start: int | None = None,
    end: int | None = None,
    limits: DecodeLimits = DecodeLimits(),
    info: VideoInfo | None = None,
) -> DecodedVideo:
    """Decode frames `start` (inclusive) to `end` (exclusive) of a video file or a folder of frames.

    Raises UnusableClip when the clip is damaged in that range, when the range is empty, or beyond a limit.
    """
    path = Path(path)
    info = info or probe_video(path)
    check_limits(path, info, limits)
    start, end = check_frame_range(path, info, start, end)
    size = (end - start) * info.height * info.width * 3
    if size > limits.bytes:
        raise UnusableClip(
            path,
            f"{end - start} frames of {info.width}x{info.height} need {size / 2**30:.1f} GiB, more than the limit of "
            f"{limits.bytes / 2**30:.1f} GiB; give start and end frames, or scale it down",
            info,
        )
    frames = [frame for _, frame in iterate_frames(path, info, range(start, end))]
    return DecodedVideo(np.stack(frames), info.fps)


def check_frame_range(path: Path, info: VideoInfo, start: int | None, end: int | None) -> tuple[int, int]:
    """Check a range of frames; None is the clip's own start or end. Raises UnusableClip for an empty one."""
    first = 0 if start is None else start
    last = info.frames if end is None else min(end, info.frames)
    if first < 0 or first >= last:
        raise UnusableClip(path, f"frames {start} to {end} are not in the clip, which has {info.frames} frames", info)
    return first, last


def iterate_frames(path: Path, info: VideoInfo, indices: range | list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index, frame uint8 RGB (H, W, 3)) for rising frame `indices`, one frame in memory at a time.

    Raises UnusableClip naming how many frames could be read when the clip breaks before the last index.
    """
    if info.codec == "images":
        return _pick_images(path, info, indices)
    reader = _decord(path, info)
    return _pick_decord(reader, path, info, indices) if reader is not None else _pick_pyav(path, info, indices)


def _damaged(path: Path, info: VideoInfo, count: int) -> UnusableClip:
    claimed = max(info.header_frames, info.frames)
    return UnusableClip(
        path,
        f"damaged or cut off: only {count} of {claimed} frames can be decoded; export it again, or give start and end "
        f"frames of the part before in manifest.csv",
        info,
    )


def _decord(path: Path, info: VideoInfo) -> Any | None:
    """A decord reader that agrees with PyAV about this file, or None."""
    plain = info.codec in _DECORD_CODECS and info.pixels in _DECORD_PIXELS and not info.rotation
    if not plain or min(info.width, info.height) < _DECORD_MIN_SIDE:
        return None
    try:
        import decord
    except ImportError:  # it has wheels for x86-64 only
        return None
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        if len(reader) != info.frames:
            return None
        first = reader[0].asnumpy()
        reader[len(reader) - 1]
    except (RuntimeError, decord.DECORDError, IndexError, OSError):
        return None
    if first.shape != (info.height, info.width, 3):
        return None
    _, expected = next(_pick_pyav(path, info, [0]))
    return reader if np.abs(first.astype(np.int16) - expected).mean() <= _AGREE else None


def _pick_decord(
    reader: Any, path: Path, info: VideoInfo, indices: range | list[int]
) -> Iterator[tuple[int, np.ndarray]]:
    import decord

    wanted = list(indices)
    for at in range(0, len(wanted), _CHUNK):
        part = wanted[at : at + _CHUNK]
        try:
            frames = reader.get_batch(part).asnumpy()
        except (RuntimeError, decord.DECORDError, IndexError):
            yield from _pick_pyav(path, info, wanted[at:])  # names the damage, or reads on where decord cannot
            return
        yield from zip(part, frames, strict=True)


def _pick_pyav(path: Path, info: VideoInfo, indices: range | list[int]) -> Iterator[tuple[int, np.ndarray]]:
    import av

    wanted = iter(indices)
    target = next(wanted, None)
    index = -1
    last: np.ndarray | None = None
    coded = (info.height, info.width) if info.rotation in (90, 270) else (info.width, info.height)
    with open_video(path) as container:
        try:
            for index, frame in enumerate(container.decode(container.streams.video[0])):
                while target == index:
                    # A stream may change its size half-way: every frame is brought to the first one's.
                    picture = frame.to_ndarray(format="rgb24", width=coded[0], height=coded[1])
                    last = np.ascontiguousarray(np.rot90(picture, -(info.rotation // 90)))
                    yield index, last
                    target = next(wanted, None)
                if target is None:
                    return
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _damaged(path, info, index + 1) from error
    count = index + 1
    if last is None or count < 0.95 * max(info.header_frames, info.frames) - 1:
        raise _damaged(path, info, count)
    # Some codecs have packets that show no picture of their own; the last picture stands for them.
    while target is not None:
        yield target, last
        target = next(wanted, None)


def _pick_images(folder: Path, info: VideoInfo, indices: range | list[int]) -> Iterator[tuple[int, np.ndarray]]:
    from PIL import Image, ImageOps

    files = image_files(folder)
    for index in indices:
        try:
            with Image.open(files[index]) as image:
                frame = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise UnusableClip(folder, f"picture {files[index].name} cannot be read ({_words(error)})", info) from error
        if frame.shape[:2] != (info.height, info.width):
            size = f"{frame.shape[1]}x{frame.shape[0]}"
            raise UnusableClip(
                folder,
                f"picture {files[index].name} is {size}, the first one {info.width}x{info.height}; give one size",
                info,
            )
        yield index, frame
