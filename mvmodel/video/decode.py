"""Frames of a clip as RGB arrays, by PyAV, by Pillow for pictures, or by decord for a few of many frames.

Files are decoded in the worker process of `mvmodel.video.guard`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from mvmodel.video import decord_reader
from mvmodel.video.animation import iterate_animation
from mvmodel.video.config import DecodeLimits
from mvmodel.video.containers import (
    AV_ERRORS,
    UnusableClip,
    VideoInfo,
    check_unchanged,
    decode_stream,
    describe_error,
    image_files,
    open_video,
    stamp_files,
)
from mvmodel.video.corrupt_frames import are_intact
from mvmodel.video.guard import beat, is_worker, iterate_guarded
from mvmodel.video.kept_frames import kept_frames
from mvmodel.video.pictures import PICTURE_ERRORS, Picture, compose, read_picture, to_rgb
from mvmodel.video.probe import probe_video
from mvmodel.video.sampling import shrink_to_grey

Convert = Callable[[np.ndarray], np.ndarray]
"""What becomes of each frame in the worker: a function of a module, or a `functools.partial` of one."""
_MIN_SKIPPED_FRAMES = 300
"""Frames between the wanted ones from which decord is tried: it finds a frame in the middle of a file without decoding
those before. For frames that are close together it is slower than PyAV."""


@dataclass(frozen=True)
class DecodedVideo:
    """Decoded frames: uint8 RGB (frames, height, width, 3), and the frame rate of the source."""

    frames: np.ndarray
    fps: float


def check_limits(path: Path, info: VideoInfo, limits: DecodeLimits) -> None:
    """Raises UnusableClip naming the limit that a clip exceeds."""
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


def decode_video(
    path: Path,
    start: int | None = None,
    end: int | None = None,
    limits: DecodeLimits = DecodeLimits(),
    info: VideoInfo | None = None,
) -> DecodedVideo:
    """Decodes frames `start` (inclusive) to `end` (exclusive) of a video file, a GIF or a folder of frames.

    Raises UnusableClip if the clip is damaged in that range, if the range is empty, or beyond a limit.
    """
    path = Path(path)
    stamp = stamp_files(path)
    info = info or probe_video(path, limits)
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
    frames = np.empty((end - start, info.height, info.width, 3), np.uint8)
    for number, (_, frame) in enumerate(iterate_frames(path, info, range(start, end), limits=limits)):
        frames[number] = frame
    check_unchanged(path, stamp)
    return DecodedVideo(frames, info.fps)


def check_frame_range(path: Path, info: VideoInfo, start: int | None, end: int | None) -> tuple[int, int]:
    """First (inclusive) and last (exclusive) frame of a range, where None is the clip's own start or end.

    Raises UnusableClip for an empty range.
    """
    first = 0 if start is None else start
    last = info.frames if end is None else min(end, info.frames)
    if first < 0 or first >= last:
        raise UnusableClip(path, f"frames {start} to {end} are not in the clip, which has {info.frames} frames", info)
    return first, last


def iterate_frames(
    path: Path,
    info: VideoInfo,
    indices: range | list[int],
    convert: Convert | None = None,
    limits: DecodeLimits = DecodeLimits(),
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (index, frame uint8 RGB (height, width, 3)) for rising frame indices, few frames in memory at a time.

    Raises UnusableClip naming how many frames could be read if the clip breaks before the last index.

    Args:
        path: A video file, an animated picture or a folder of frames.
        info: Its probe.
        indices: The frames that are wanted, at least one.
        convert: Called with each frame in the worker process; its results are yielded in place of the frames.
        limits: Limits of time and memory.
    """
    return iterate_guarded(path, limits, read_in_order, path, info, list(indices), convert)


def iterate_thumbnails(
    path: Path, info: VideoInfo, indices: list[int], size: tuple[int, int], limits: DecodeLimits, keep_to: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (index, thumbnail uint8 grey (height, width)) as `iterate_frames` does. size: its (width, height)."""
    if is_decoded_by_pyav(info):
        return iterate_guarded(path, limits, _read_thumbnails, path, info, indices, size, keep_to, limits.kept_mb)
    return iterate_frames(path, info, indices, partial(shrink_to_grey, size=size), limits)


def is_decoded_by_pyav(info: VideoInfo) -> bool:
    """Whether a clip is a video file without alpha, and no pictures."""
    return not (info.codec == "images" or info.pictures or info.alpha)


def _read_thumbnails(
    path: Path, info: VideoInfo, indices: list[int], size: tuple[int, int], keep_to: int, kept_mb: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Thumbnails that FFmpeg shrinks itself, which costs a sixth of converting whole frames to RGB first."""
    if is_worker():
        kept_frames.begin(path, kept_mb << 20)
    shape = (size[1], size[0]) if info.rotation in (90, 270) else size
    reformatter = VideoReformatter()

    def shrink(frame: av.VideoFrame) -> np.ndarray:
        grey = reformatter.reformat(
            frame, *shape, "gray", interpolation=Interpolation.AREA, dst_color_range=ColorRange.JPEG
        )
        return np.ascontiguousarray(np.rot90(grey.to_ndarray(), -(info.rotation // 90)))

    yield from _iterate_pyav(path, info, indices, shrink, keep_to)


def iterate_alpha(
    path: Path, info: VideoInfo, indices: range | list[int], limits: DecodeLimits = DecodeLimits()
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (index, opaque pixels, bool (height, width)) for rising frame indices, as `iterate_frames` does.

    Of a clip without alpha, all pixels are opaque.
    """
    return iterate_guarded(path, limits, _read_alpha, path, info, list(indices))


def read_in_order(
    path: Path, info: VideoInfo, indices: list[int], convert: Convert | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """As `iterate_frames`, in this process."""
    for index, frame in _read_rgb(path, info, indices):
        yield index, frame if convert is None else convert(frame)
        beat()


def _read_rgb(path: Path, info: VideoInfo, indices: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    if info.codec == "images" or info.pictures:
        for index, picture in _read_pictures(path, info, indices):
            yield index, to_rgb(picture, info.levels)
        return
    frames = kept_frames.select(path, indices)
    if frames is not None:
        convert = _converter(path, info, "rgb24")
        yield from ((index, convert(frame)) for index, frame in zip(indices, frames, strict=True))
        return
    count = 0
    if indices[-1] + 1 - len(indices) > _MIN_SKIPPED_FRAMES:
        reader = open_trusted_decord(path, info)
        if reader is not None and are_intact(path, info, indices):  # decord passes damage without a word
            for index, frame in decord_reader.read_batches(reader, indices):
                yield index, frame
                count += 1
    if count < len(indices):  # PyAV reads on where decord cannot, or names the damage
        yield from iterate_pyav(path, info, indices[count:])


def _read_alpha(path: Path, info: VideoInfo, indices: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    if info.codec == "images" or info.pictures:
        for index, picture in _read_pictures(path, info, indices):
            yield index, picture.opaque
        return
    for index, rgba in _iterate_pyav(path, info, indices, _converter(path, info, "rgba")):
        yield index, rgba[..., 3] > 127


def open_trusted_decord(path: Path, info: VideoInfo) -> Any | None:
    """A decord reader that agrees with PyAV about this file, or None."""
    if not decord_reader.is_supported(info):
        return None
    _, first_frame = next(iterate_pyav(path, info, [0]))
    return decord_reader.open_decord(path, info, first_frame)


def _damaged(path: Path, info: VideoInfo, count: int) -> UnusableClip:
    expected = max(info.header_frames, info.frames)
    return UnusableClip(
        path,
        f"damaged or cut off: only {count} of {expected} frames can be decoded; export it again, or give start and "
        f"end frames of the part before in manifest.csv",
        info,
    )


def iterate_pyav(path: Path, info: VideoInfo, indices: range | list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """As `iterate_frames`, by PyAV alone and in this process."""
    if not info.alpha:
        yield from _iterate_pyav(path, info, indices, _converter(path, info, "rgb24"))
        return
    for index, rgba in _iterate_pyav(path, info, indices, _converter(path, info, "rgba")):
        yield index, compose(rgba[..., :3], rgba[..., 3])


def _iterate_pyav(
    path: Path,
    info: VideoInfo,
    indices: range | list[int],
    convert: Callable[[av.VideoFrame], np.ndarray],
    keep_to: int = 0,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (index, converted frame), and decodes on until `keep_to`, so that a second pass finds these frames."""
    remaining = iter(indices)
    target = next(remaining, None)
    index = -1
    last: np.ndarray | None = None
    with open_video(path) as container:
        try:
            for index, frame in enumerate(decode_stream(container)):
                beat()
                kept_frames.add(path, index, frame)
                while target == index:
                    last = convert(frame)
                    yield index, last
                    target = next(remaining, None)
                if target is None and index + 1 >= keep_to:
                    return
        except AV_ERRORS as error:
            if target is None:  # damaged where nothing is wanted
                return
            raise _damaged(path, info, index + 1) from error
    if target is None:
        return
    count = index + 1
    if last is None or count < 0.95 * max(info.header_frames, info.frames) - 1:
        raise _damaged(path, info, count)
    # Some codecs have packets without a picture of their own; the last picture is repeated for them.
    while target is not None:
        yield target, last
        target = next(remaining, None)


def _converter(path: Path, info: VideoInfo, pixels: str) -> Callable[[av.VideoFrame], np.ndarray]:
    """Makes arrays of frames as they are displayed, uint8 (height, width, channels). pixels: "rgb24" or "rgba".

    One reformatter serves all frames: a frame's own would be built anew for each, and stay with those that are kept.
    """
    # A stream may change its size half-way: every frame is brought to the first one's.
    width, height = (info.height, info.width) if info.rotation in (90, 270) else (info.width, info.height)
    reformatter = VideoReformatter()

    def convert(frame: av.VideoFrame) -> np.ndarray:
        if frame.is_corrupt:  # what FFmpeg fills in for damage is not what was filmed
            place = "" if frame.time is None else f" at {frame.time:.2f} s"
            raise UnusableClip(
                path,
                f"damaged: the decoder marks the picture{place} as corrupt; export it again, or give start and end "
                f"frames of an intact part in manifest.csv",
                info,
            )
        picture = reformatter.reformat(frame, width=width, height=height, format=pixels).to_ndarray()
        return np.ascontiguousarray(np.rot90(picture, -(info.rotation // 90)))

    return convert


def _read_pictures(path: Path, info: VideoInfo, indices: list[int]) -> Iterator[tuple[int, Picture]]:
    """Yields (index, picture) of a folder of frames or of an animated picture."""
    if info.pictures:
        try:
            yield from zip(indices, iterate_animation(path, [info.pictures[index] for index in indices]), strict=True)
        except PICTURE_ERRORS as error:
            raise UnusableClip(path, f"its pictures cannot be read ({describe_error(error)})", info) from error
        return
    files = image_files(path)
    if len(files) != info.frames:
        raise UnusableClip(path, f"it holds {len(files)} pictures, and held {info.frames} before; try again", info)
    for index in indices:
        name = files[index].name
        try:
            picture = read_picture(files[index])
        except PICTURE_ERRORS as error:
            raise UnusableClip(path, f"picture {name} cannot be read ({describe_error(error)})", info) from error
        height, width = picture.values.shape[:2]
        if (height, width) != (info.height, info.width):
            reason = f"picture {name} is {width}x{height}, the first one {info.width}x{info.height}; give one size"
            raise UnusableClip(path, reason, info)
        yield index, picture
