"""Animated pictures (GIF, WebP, PNG) and TIFFs of several pages, and what their delays mean."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from mvmodel.video.config import DecodeLimits

ANIMATION_SUFFIXES = frozenset({".gif", ".webp", ".png", ".apng", ".tif", ".tiff"})
"""Files that may hold several pictures."""
PICTURE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for a damaged picture."""
_ROUNDING = 10.0
"""Milliseconds by which a GIF rounds a delay, at most."""

Frame = TypeVar("Frame")


def count_pictures(path: Path) -> int:
    """Number of pictures in a file by its header, 0 if Pillow cannot open it."""
    try:
        with Image.open(path) as image:
            return int(getattr(image, "n_frames", 1))
    except PICTURE_ERRORS:
        return 0


def is_animation(path: Path) -> bool:
    """Whether a picture file holds several pictures, by its header."""
    return path.suffix.lower() in ANIMATION_SUFFIXES and count_pictures(path) > 1


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
        if count > limits.frames or count * size[0] * size[1] > limits.bytes:
            raise ValueError(f"{count} pictures of {size[0]}x{size[1]} are more than the limit; cut it into parts")
        is_timed = image.format != "TIFF" and count > 1
        for index in range(count):
            image.seek(index)
            if image.size != size:
                raise ValueError(f"page {index + 1} has another size than the first; give pages of one size")
            frames.append(convert(image))
            delays.append(float(image.info.get("duration", 0) or 0))
    if not is_timed:
        return frames, None
    indices, fps = even_indices(delays)
    if len(indices) > limits.frames:
        raise ValueError(f"its delays make {len(indices)} even frames, more than the limit of {limits.frames}")
    return [frames[index] for index in indices], fps


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
