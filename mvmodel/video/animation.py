"""Animated pictures (GIF, WebP, PNG) and TIFFs of several pages, and what their delays mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from mvmodel.video.config import DecodeLimits
from mvmodel.video.containers import UnusableClip
from mvmodel.video.guard import beat, run_guarded
from mvmodel.video.pictures import PICTURE_ERRORS, Picture, to_picture

ANIMATION_SUFFIXES = frozenset({".gif", ".webp", ".png", ".apng", ".tif", ".tiff"})
"""Files that may hold several pictures."""
_MAGIC_NUMBERS = (b"GIF8", b"\x89PNG\r\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SAMPLES = 8
"""Pictures of a file from which the levels of all are chosen."""
_ROUNDING = 10.0
"""Milliseconds by which a GIF rounds a delay, at most."""
_USUAL_RATES = (8.0, 10.0, 12.0, 12.5, 15.0, 16.0, 20.0, 24.0, 25.0, 30.0, 50.0, 60.0)
"""Frames per second that a few rounded delays are taken for before others that they also allow."""

Frame = TypeVar("Frame")


@dataclass(frozen=True)
class Animation:
    """What an animated picture holds, at an even rate.

    size: (width, height), upright. indices: for each even frame, which picture it shows. fps: frames per second, or
    None for a TIFF, which has no times. format: Pillow's name of the format. alpha: whether anything is transparent.
    samples: the first picture and some others.
    """

    size: tuple[int, int]
    indices: tuple[int, ...]
    fps: float | None
    format: str
    alpha: bool
    samples: tuple[Picture, ...]


def count_pictures(path: Path) -> int:
    """Number of pictures in a file by its header, 0 if Pillow cannot open it."""
    try:
        with Image.open(path) as image:
            return int(getattr(image, "n_frames", 1))
    except PICTURE_ERRORS:
        return 0


def is_animation(path: Path) -> bool:
    """Whether a picture file holds several pictures, by its header. Asks the worker process."""
    if path.suffix.lower() not in ANIMATION_SUFFIXES:
        return False
    try:
        return run_guarded(path, DecodeLimits(), has_several_pictures, path)
    except UnusableClip:
        return False


def has_several_pictures(path: Path) -> bool:
    """As `is_animation`, in this process."""
    if count_pictures(path) < 2:
        return False
    with suppress(*PICTURE_ERRORS), Image.open(path) as image:
        size = image.size
        image.seek(1)  # a TIFF may keep smaller copies of its picture as pages
        return image.size == size
    return True


def is_animated_format(path: Path) -> bool:
    """Whether a file begins as one of the formats that may hold several pictures, whatever its name is."""
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head.startswith(_MAGIC_NUMBERS) or (head[:4], head[8:]) == (b"RIFF", b"WEBP")


def probe_animation(path: Path, limits: DecodeLimits = DecodeLimits()) -> Animation:
    """Which frames an animated picture has, by its delays. Raises PICTURE_ERRORS as `iterate_animation` does."""
    delays: list[float] = []
    samples: list[Picture] = []
    alpha = False
    with Image.open(path) as image:
        file_format, stride = str(image.format), max(1, int(getattr(image, "n_frames", 1)) // _SAMPLES)
        for number, frame in _pictures(image, limits):
            delays.append(float(frame.info.get("duration", 0) or 0))
            alpha = alpha or (frame.has_transparency_data and to_picture(frame).is_transparent)
            if number % stride == 0:
                samples.append(to_picture(frame))
    height, width = samples[0].values.shape[:2]
    indices, fps = list(range(len(delays))), None
    if file_format != "TIFF" and len(delays) > 1:
        indices, fps = _spread_evenly(delays, limits)
    return Animation((width, height), tuple(indices), fps, file_format, alpha, tuple(samples))


def iterate_animation(path: Path, numbers: Iterable[int], limits: DecodeLimits = DecodeLimits()) -> Iterator[Picture]:
    """The pictures with these rising numbers; a number may be there several times.

    Raises PICTURE_ERRORS for a damaged file, for pages of different sizes, and for more than the limits allow.
    """
    remaining = iter(numbers)
    target = next(remaining, None)
    with Image.open(path) as image:
        for number, frame in _pictures(image, limits):
            picture = to_picture(frame) if number == target else None
            while picture is not None and number == target:
                yield picture
                target = next(remaining, None)
            if target is None:
                return


def _pictures(image: Image.Image, limits: DecodeLimits) -> Iterator[tuple[int, Image.Image]]:
    """Number and picture of each picture in a file, one after another."""
    count, size = int(getattr(image, "n_frames", 1)), image.size
    if count > limits.frames or size[0] * size[1] > limits.pixels:
        raise ValueError(f"{count} pictures of {size[0]}x{size[1]} are more than the limit; cut it into parts")
    # The first picture of an APNG may be one for programs that cannot show animations.
    skipped = 1 if count > 1 and image.info.get("default_image") else 0
    for number in range(skipped, count):
        image.seek(number)
        if image.size != size:
            raise ValueError(f"page {number + 1} has another size than the first; give pages of one size")
        beat()
        image.load()  # a WebP says only then how long a picture is shown
        yield number - skipped, image


def read_animation(
    path: Path, convert: Callable[[Image.Image], Frame], limits: DecodeLimits = DecodeLimits()
) -> tuple[list[Frame], float | None]:
    """The frames of a picture file at an even rate, and the rate; None if the file has no times.

    A frame that is held longer than the others is repeated. Raises PICTURE_ERRORS for a damaged file, for pages of
    different sizes, and for more than the limits allow.

    Args:
        path: The file.
        convert: What becomes of each picture, called once.
        limits: Limits of decoding.
    """
    frames: list[Frame] = []
    delays: list[float] = []
    with Image.open(path) as image:
        count, size = int(getattr(image, "n_frames", 1)), image.size
        if count * size[0] * size[1] > limits.bytes:
            raise ValueError(f"{count} pictures of {size[0]}x{size[1]} are more than the limit; cut it into parts")
        is_timed = image.format != "TIFF" and count > 1
        for _, picture in _pictures(image, limits):
            frames.append(convert(picture))
            delays.append(float(picture.info.get("duration", 0) or 0))
    if not is_timed:
        return frames, None
    indices, fps = _spread_evenly(delays, limits)
    return [frames[index] for index in indices], fps


def _spread_evenly(delays: Sequence[float], limits: DecodeLimits) -> tuple[list[int], float]:
    """As `even_indices`. Raises ValueError if that makes more frames than the limit."""
    durations = [delay if delay > _ROUNDING else 100.0 for delay in delays]
    count = sum(durations) / min(durations)
    if count > limits.frames:
        raise ValueError(f"its delays make {count:.0f} even frames, more than the limit of {limits.frames}")
    return even_indices(delays)


def even_indices(delays: Sequence[float]) -> tuple[list[int], float]:
    """Frames repeated so that an even rate shows each as long as its delay says, and that rate in frames per second.

    Delays of at most 10 ms count as 100 ms, as browsers show them.

    Args:
        delays: How long each frame is durations, in milliseconds.
    """
    durations = np.array([delay if delay > _ROUNDING else 100.0 for delay in delays])
    total = float(durations.sum())
    steps = durations[durations <= durations.min() + _ROUNDING]
    count = max(len(durations), round(total / float(steps.mean())))
    if (durations <= durations.min() + _ROUNDING).all():
        return list(range(len(durations))), _plain_rate(durations, np.ones(len(durations)), len(durations))
    times = (np.arange(count) + 0.5) * total / count
    indices = np.searchsorted(np.cumsum(durations), times, side="right").clip(0, len(durations) - 1)
    repeats = np.bincount(indices, minlength=len(durations))
    return indices.tolist(), _plain_rate(durations, repeats, count)


def _plain_rate(delays: np.ndarray, repeats: np.ndarray, count: int) -> float:
    """The rate of `count` frames over the sum of the delays; a whole or half number if the delays are that, rounded."""
    rate = 1000 * count / float(delays.sum())
    if np.ptp(delays) == 0:
        return round(rate, 4)
    nearest = min(_USUAL_RATES, key=lambda candidate: abs(candidate - rate))
    if abs(1000 * count / nearest - delays.sum()) <= _ROUNDING / 2:
        return nearest
    # Whole rates before halves: of two that a rounded sum allows, the whole one is the likelier.
    for candidate in (round(rate), round(2 * rate) / 2):
        if candidate > 0 and abs(1000 * count / candidate - delays.sum()) <= _ROUNDING:
            return float(candidate)
    for candidate in (round(rate), round(2 * rate) / 2):
        is_near = candidate > 0 and abs(candidate - rate) <= 0.03 * rate
        if is_near and (np.abs(repeats * 1000 / candidate - delays) <= _ROUNDING).all():
            return float(candidate)
    return round(rate, 4)


def gif_delays(count: int, fps: float) -> list[int]:
    """Delays of `count` GIF frames in hundredths of a second whose sum is right to a hundredth; each at least 2."""
    step = max(2.0, 100 / fps)
    times = np.round(np.arange(count + 1) * step).astype(int)
    return np.diff(times).tolist()
