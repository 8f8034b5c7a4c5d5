"""Frames of a clip as RGB arrays: decord where it can be trusted, PyAV elsewhere, pictures for folders.

decord 0.6 is fast at picking frames but gives wrong shapes for tiny pictures, reads some damaged files without a
complaint and knows no AV1 or GIF. So it is used only when it agrees with PyAV on count, shape and first picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.config import Config
from mvmodel.video.probe import Probe, UnusableClip, _words, image_files, open_video, probe

_DECORD_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "mpeg4", "mpeg2video", "mjpeg"})
_DECORD_PIXELS = frozenset({"yuv420p", "yuvj420p"})
"""Pixel formats that decord is tried on; in 10 bit its colours are off by several grey levels."""
_DECORD_MIN_SIDE = 16
_AGREE = 6.0
"""Largest mean difference, in grey levels, at which two decoders' pictures count as the same."""
_CHUNK = 16


class DecodeLimits(Config):
    """What a decoder may be asked for; beyond it a clip is refused with the limit named.

    pixels: of one picture. frames, seconds: of one file. bytes: of the decoded array handed back by `decode`.
    """

    pixels: int = 36_000_000
    frames: int = 110_000
    seconds: float = 3600.0
    bytes: int = 3 << 30


class Decoded:
    """Decoded frames: `frames` uint8 RGB (F, H, W, 3), and `fps`, the rate they were filmed at."""

    def __init__(self, frames: np.ndarray, fps: float) -> None:
        self.frames, self.fps = frames, fps


def within_limits(path: Path, facts: Probe, limits: DecodeLimits) -> None:
    """Raise UnusableClip naming the limit that a clip exceeds."""
    if facts.width * facts.height > limits.pixels:
        reason = f"{facts.width}x{facts.height} is more than the limit of {limits.pixels:,} pixels; scale it down"
    elif facts.frames > limits.frames or facts.duration_s > limits.seconds:
        reason = (
            f"{facts.frames} frames or {facts.duration_s:.0f} s are more than the limit of {limits.frames} frames or "
            f"{limits.seconds:.0f} s; cut the file into parts"
        )
    else:
        return
    raise UnusableClip(path, reason, facts)


def decode(
    path: Path,
    start: int | None = None,
    end: int | None = None,
    limits: DecodeLimits = DecodeLimits(),
    facts: Probe | None = None,
) -> Decoded:
    """Decode frames `start` (inclusive) to `end` (exclusive) of a video file or a folder of frames.

    Raises UnusableClip when the clip is damaged in that range, when the range is empty, or beyond a limit.
    """
    path = Path(path)
    facts = facts or probe(path)
    within_limits(path, facts, limits)
    start, end = frame_range(path, facts, start, end)
    size = (end - start) * facts.height * facts.width * 3
    if size > limits.bytes:
        raise UnusableClip(
            path,
            f"{end - start} frames of {facts.width}x{facts.height} need {size / 2**30:.1f} GiB, more than the limit of "
            f"{limits.bytes / 2**30:.1f} GiB; give start and end frames, or scale it down",
            facts,
        )
    frames = [frame for _, frame in pick(path, facts, range(start, end))]
    return Decoded(np.stack(frames), facts.fps)


def frame_range(path: Path, facts: Probe, start: int | None, end: int | None) -> tuple[int, int]:
    """Check a range of frames; None is the clip's own start or end. Raises UnusableClip for an empty one."""
    first = 0 if start is None else start
    last = facts.frames if end is None else min(end, facts.frames)
    if first < 0 or first >= last:
        raise UnusableClip(path, f"frames {start} to {end} are not in the clip, which has {facts.frames} frames", facts)
    return first, last


def pick(path: Path, facts: Probe, indices: range | list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index, frame uint8 RGB (H, W, 3)) for rising frame `indices`, one frame in memory at a time.

    Raises UnusableClip naming how many frames could be read when the clip breaks before the last index.
    """
    if facts.codec == "images":
        return _pick_images(path, facts, indices)
    reader = _decord(path, facts)
    return _pick_decord(reader, path, facts, indices) if reader is not None else _pick_pyav(path, facts, indices)


def _damaged(path: Path, facts: Probe, count: int) -> UnusableClip:
    claimed = max(facts.header_frames, facts.frames)
    return UnusableClip(
        path,
        f"damaged or cut off: only {count} of {claimed} frames can be decoded; export it again, or give start and end "
        f"frames of the part before in manifest.csv",
        facts,
    )


def _decord(path: Path, facts: Probe) -> Any | None:
    """A decord reader that agrees with PyAV about this file, or None."""
    plain = facts.codec in _DECORD_CODECS and facts.pixels in _DECORD_PIXELS and not facts.rotation
    if not plain or min(facts.width, facts.height) < _DECORD_MIN_SIDE:
        return None
    try:
        import decord
    except ImportError:  # it has wheels for x86-64 only
        return None
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        if len(reader) != facts.frames:
            return None
        first = reader[0].asnumpy()
        reader[len(reader) - 1]
    except (RuntimeError, decord.DECORDError, IndexError, OSError):
        return None
    if first.shape != (facts.height, facts.width, 3):
        return None
    _, expected = next(_pick_pyav(path, facts, [0]))
    return reader if np.abs(first.astype(np.int16) - expected).mean() <= _AGREE else None


def _pick_decord(reader: Any, path: Path, facts: Probe, indices: range | list[int]) -> Iterator[tuple[int, np.ndarray]]:
    import decord

    wanted = list(indices)
    for at in range(0, len(wanted), _CHUNK):
        part = wanted[at : at + _CHUNK]
        try:
            frames = reader.get_batch(part).asnumpy()
        except (RuntimeError, decord.DECORDError, IndexError):
            yield from _pick_pyav(path, facts, wanted[at:])  # names the damage, or reads on where decord cannot
            return
        yield from zip(part, frames, strict=True)


def _pick_pyav(path: Path, facts: Probe, indices: range | list[int]) -> Iterator[tuple[int, np.ndarray]]:
    import av

    wanted = iter(indices)
    target = next(wanted, None)
    index = -1
    last: np.ndarray | None = None
    coded = (facts.height, facts.width) if facts.rotation in (90, 270) else (facts.width, facts.height)
    with open_video(path) as container:
        try:
            for index, frame in enumerate(container.decode(container.streams.video[0])):
                while target == index:
                    # A stream may change its size half-way: every frame is brought to the first one's.
                    picture = frame.to_ndarray(format="rgb24", width=coded[0], height=coded[1])
                    last = np.ascontiguousarray(np.rot90(picture, -(facts.rotation // 90)))
                    yield index, last
                    target = next(wanted, None)
                if target is None:
                    return
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _damaged(path, facts, index + 1) from error
    count = index + 1
    if last is None or count < 0.95 * max(facts.header_frames, facts.frames) - 1:
        raise _damaged(path, facts, count)
    # Some codecs have packets that show no picture of their own; the last picture stands for them.
    while target is not None:
        yield target, last
        target = next(wanted, None)


def _pick_images(folder: Path, facts: Probe, indices: range | list[int]) -> Iterator[tuple[int, np.ndarray]]:
    from PIL import Image, ImageOps

    files = image_files(folder)
    for index in indices:
        try:
            with Image.open(files[index]) as image:
                frame = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise UnusableClip(
                folder, f"picture {files[index].name} cannot be read ({_words(error)})", facts
            ) from error
        if frame.shape[:2] != (facts.height, facts.width):
            size = f"{frame.shape[1]}x{frame.shape[0]}"
            raise UnusableClip(
                folder,
                f"picture {files[index].name} is {size}, the first one {facts.width}x{facts.height}; give one size",
                facts,
            )
        yield index, frame
