"""Sampling in time and space: which frames, and how a picture becomes a square without being squashed."""

from __future__ import annotations

import numpy as np


def nearest_frame_indices(
    times: np.ndarray, first: int, last: int, start: float, frames: int, step: float
) -> np.ndarray:
    """Numbers of the frames shown at `start` + i * `step` seconds, i < `frames`; int (frames,), rising.

    times: when each frame of the source is shown. The nearest frame in `first` (inclusive) to `last` (exclusive) is
    taken, so a step finer than the source's repeats frames.
    """
    own = np.asarray(times[first:last])
    wanted = start + step * np.arange(frames)
    right = np.clip(np.searchsorted(own, wanted), 1, max(len(own) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(own) - 1)
    nearer_left = wanted - own[left] <= own[right] - wanted + 1e-9
    return first + np.where(nearer_left, left, right)


def crop_to_square(picture: np.ndarray, side: int, pixel_aspect: float = 1.0) -> np.ndarray:
    """Resize so that the short edge is `side` and crop the middle: (H, W, 3) uint8 or (H, W) bool to (side, side, ..).

    pixel_aspect: width of a source pixel over its height; pixels come out square. A mask is resampled by area and cut
    at one half, so that frame and mask stay on top of each other.
    """
    import cv2

    mask = picture.dtype == np.bool_
    height, width = picture.shape[:2]
    shown_width = width * pixel_aspect
    scale = side / min(height, shown_width)
    size = (max(side, round(shown_width * scale)), max(side, round(height * scale)))
    source = picture.astype(np.float32) if mask else picture
    if size != (width, height):
        shrinks = scale < 1
        source = cv2.resize(source, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    top, left = (size[1] - side) // 2, (size[0] - side) // 2
    square = source[top : top + side, left : left + side]
    return square >= 0.5 if mask else np.ascontiguousarray(square)
