"""Position, size and angle of a shape in every frame: estimated from masks, and a shape placed by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.geometry import centroid, rotation_matrix, second_moments

_MIN_ELONGATION = 1.3
"""Mean elongation (long over short spread) from which a mask's axis is a direction and not noise."""


@dataclass(frozen=True)
class Poses:
    """Poses of a shape, float arrays of shape (frames,).

    x, y: centroid in pixels, y down. scale_x, scale_y: factors along the shape's own axes, before it is rotated. angle:
    degrees, counter-clockwise as displayed. Raises InputError for arrays of different lengths.
    """

    x: np.ndarray
    y: np.ndarray
    scale_x: np.ndarray
    scale_y: np.ndarray
    angle: np.ndarray

    def __post_init__(self) -> None:
        lengths = {len(self.x), len(self.y), len(self.scale_x), len(self.scale_y), len(self.angle)}
        if len(lengths) != 1 or 0 in lengths:
            raise InputError(f"poses need arrays of one length of at least 1, not {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def broadcast(cls, x: Any, y: Any, scale_x: Any = 1.0, scale_y: Any = None, angle: Any = 0.0) -> Poses:
        """Poses from arrays and single numbers. scale_y is scale_x by default."""
        values = (x, y, scale_x, scale_x if scale_y is None else scale_y, angle)
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(value, float)) for value in values))
        return cls(*(array.copy() for array in arrays))

    def matrix(self, frame: int) -> np.ndarray:
        """The linear part of a frame's pose, float (2, 2), in picture coordinates (y down)."""
        return rotation_matrix(self.angle[frame]) @ np.diag([self.scale_x[frame], self.scale_y[frame]])


def estimate_poses(masks: np.ndarray) -> Poses:
    """Poses of the foreground of masks, bool (frames, height, width).

    Scales and angle are relative to the first frame with a foreground, so a shape from there, placed by these poses,
    follows the sequence. Long shapes rotate with their long axis, and stretch along and across it. Round ones have no
    angle, and stretch along the picture's axes. Frames without a foreground are interpolated. Raises InputError if no
    frame has a foreground.
    """
    visible = np.flatnonzero(masks.any(axis=(1, 2)))
    if not len(visible):
        raise InputError("the masks have no foreground in any frame, so there is no motion to take from them")
    rows = np.array([(*centroid(masks[index]), *second_moments(masks[index])) for index in visible])
    x, y, xx, yy, xy = rows.T
    difference, spread = xx - yy, np.hypot(xx - yy, 2 * xy)
    long, short = np.sqrt((xx + yy + spread) / 2), np.sqrt(np.maximum((xx + yy - spread) / 2, 1 / 12))
    if float((long / short).mean()) >= _MIN_ELONGATION:
        # An axis and its opposite look alike, so twice the angle is unwrapped.
        axis = np.unwrap(np.arctan2(2 * xy, difference)) / 2
        angle = -np.rad2deg(axis - axis[0])
        along, across = long / long[0], short / short[0]
        # The axes rotate with the shape: in the first frame they are at `axis[0]`, not along the picture's.
        is_horizontal = abs(np.cos(axis[0])) >= abs(np.sin(axis[0]))
        scale_x, scale_y = (along, across) if is_horizontal else (across, along)
    else:
        angle = np.zeros(len(visible))
        scale_x, scale_y = np.sqrt(xx / xx[0]), np.sqrt(yy / yy[0])
    frames = np.arange(len(masks))
    return Poses(*(np.interp(frames, visible, values) for values in (x, y, scale_x, scale_y, angle)))


def place_shape(shape: np.ndarray, poses: Poses, size: tuple[int, int]) -> np.ndarray:
    """Places a shape's centroid at every pose: bool (frames, height, width). What is outside is cut off.

    Args:
        shape: bool (h, w), not empty.
        poses: One pose per frame.
        size: (height, width) of the result.
    """
    if not shape.any():
        raise InputError("the shape is empty; give a mask with a foreground")
    x, y = centroid(shape)
    source = shape.astype(np.float32)
    out = np.zeros((len(poses), *size), bool)
    for frame in range(len(poses)):
        linear = poses.matrix(frame)
        offset = np.array([poses.x[frame], poses.y[frame]]) - linear @ [x, y]
        matrix = np.column_stack([linear, offset])
        if np.array_equal(linear, np.eye(2)):  # shifts by whole pixels stay exact
            matrix[:, 2] = np.where(np.abs(offset - offset.round()) < 1e-6, offset.round(), offset)
        out[frame] = cv2.warpAffine(source, matrix, size[::-1]) > 0.499
    return out
