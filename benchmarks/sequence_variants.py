"""Real sequences changed as footage may be: a method that fits only the sequences as they are shows it here."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]
"""Frames, uint8 (frames, height, width, 3), and their true masks, bool (frames, height, width)."""
DARK_SHARE = 0.35
LATE_SHARE = 1 / 3


def mirror(frames: np.ndarray, truth: np.ndarray) -> Arrays:
    """Left and right exchanged."""
    return frames[:, :, ::-1], truth[:, :, ::-1]


def halve(frames: np.ndarray, truth: np.ndarray) -> Arrays:
    """Half the width and height."""
    size = (frames.shape[2] // 2, frames.shape[1] // 2)
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    masks = [cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5 for mask in truth]
    return np.stack(small), np.stack(masks)


def reverse(frames: np.ndarray, truth: np.ndarray) -> Arrays:
    """From the last frame to the first."""
    return frames[::-1], truth[::-1]


def start_late(frames: np.ndarray, truth: np.ndarray) -> Arrays:
    """Without the first third."""
    start = int(len(frames) * LATE_SHARE)
    return frames[start:], truth[start:]


def darken(frames: np.ndarray, truth: np.ndarray) -> Arrays:
    """A third of the light."""
    return np.round(frames * DARK_SHARE).astype(np.uint8), truth


def crop_square(frames: np.ndarray, truth: np.ndarray) -> Arrays:
    """The square of the short side that is nearest to the mean place of the object."""
    height, width = truth.shape[1:]
    side = min(height, width)
    _, rows, columns = np.nonzero(truth)
    if not len(rows):
        rows, columns = np.array([height / 2]), np.array([width / 2])
    top = int(np.clip(rows.mean() - side / 2, 0, height - side))
    left = int(np.clip(columns.mean() - side / 2, 0, width - side))
    window = slice(None), slice(top, top + side), slice(left, left + side)
    return frames[window], truth[window]


VARIANTS: dict[str, Callable[[np.ndarray, np.ndarray], Arrays]] = {
    "mirrored": mirror,
    "half size": halve,
    "reversed": reverse,
    "late start": start_late,
    "dark": darken,
    "square": crop_square,
}


def make_variant(name: str, frames: np.ndarray, truth: np.ndarray) -> Arrays:
    """A sequence changed as `name` of `VARIANTS` says, in arrays of their own; "" leaves it as it is."""
    if not name:
        return frames, truth
    changed, masks = VARIANTS[name](frames, truth)
    return np.ascontiguousarray(changed), np.ascontiguousarray(masks)
