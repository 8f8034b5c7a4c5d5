"""Where a shape is, how large and how turned, at every frame; and a shape laid where such poses say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.geometry import centroid, rotation_matrix, second_moments

_SHOWS_ANGLE = 1.3
"""Mean elongation (long over short spread) from which a mask's axis is a direction and not noise."""


@dataclass(frozen=True)
class Poses:
    """Poses of a shape, float arrays of shape (frames,).

    x, y: centre of mass in pixels, y down. scale_x, scale_y: factors along the shape's own axes, before it is turned.
    angle: degrees, positive turns counter-clockwise as seen. Raises InputError for arrays of different lengths.
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
    def of(cls, x: Any, y: Any, scale_x: Any = 1.0, scale_y: Any = None, angle: Any = 0.0) -> Poses:
        """Poses from arrays and single numbers; scale_y None is scale_x."""
        scale_y = scale_x if scale_y is None else scale_y
        return cls(
            *(
                a.copy()
                for a in np.broadcast_arrays(
                    *(np.atleast_1d(np.asarray(v, float)) for v in (x, y, scale_x, scale_y, angle))
                )
            )
        )

    def matrix(self, frame: int) -> np.ndarray:
        """The linear part of a frame's pose, float (2, 2), in picture coordinates (y down)."""
        return rotation_matrix(self.angle[frame]) @ np.diag([self.scale_x[frame], self.scale_y[frame]])


def estimate_poses(masks: np.ndarray) -> Poses:
    """How the foreground of masks, bool (frames, height, width), moves.

    Scales are relative to the first frame that has a foreground, in which angle is 0; so a shape taken from there and
    laid by these poses follows the sequence. Long shapes turn with their long axis and stretch along and across it;
    round ones show no angle and stretch along the picture's axes. A frame without foreground is bridged. Raises
    InputError when there is no foreground at all.
    """
    seen = np.flatnonzero(masks.any(axis=(1, 2)))
    if not len(seen):
        raise InputError("the masks have no foreground in any frame, so there is no motion to take from them")
    rows = np.array([(*centroid(masks[index]), *second_moments(masks[index])) for index in seen])
    x, y, xx, yy, xy = rows.T
    difference, spread = xx - yy, np.hypot(xx - yy, 2 * xy)
    long, short = np.sqrt((xx + yy + spread) / 2), np.sqrt(np.maximum((xx + yy - spread) / 2, 1 / 12))
    if float((long / short).mean()) >= _SHOWS_ANGLE:
        # An axis and its opposite look alike, so it is followed in double.
        axis = np.unwrap(np.arctan2(2 * xy, difference)) / 2
        turn = -np.rad2deg(axis - axis[0])
        along, across = long / long[0], short / short[0]
        # The axes turn with the shape: in the first frame they lie at `axis[0]` and not along the picture's.
        level = abs(np.cos(axis[0])) >= abs(np.sin(axis[0]))
        scale_x, scale_y = (along, across) if level else (across, along)
    else:
        turn = np.zeros(len(seen))
        scale_x, scale_y = np.sqrt(xx / xx[0]), np.sqrt(yy / yy[0])
    every = np.arange(len(masks))
    return Poses(*(np.interp(every, seen, column) for column in (x, y, scale_x, scale_y, turn)))


def place_shape(shape: np.ndarray, poses: Poses, size: tuple[int, int]) -> np.ndarray:
    """Lay a shape's centre of mass at every pose: bool (frames, height, width).

    shape: bool (h, w), not empty. size: (height, width) of the pictures. What lies outside is cut off.
    """
    import cv2

    if not shape.any():
        raise InputError("the shape is empty; give a mask with a foreground")
    x, y = centroid(shape)
    source = shape.astype(np.float32)
    out = np.zeros((len(poses), *size), bool)
    for frame in range(len(poses)):
        linear = poses.matrix(frame)
        offset = np.array([poses.x[frame], poses.y[frame]]) - linear @ [x, y]
        matrix = np.column_stack([linear, offset])
        if np.array_equal(linear, np.eye(2)):  # whole pixels stay exact, without a half one lost to rounding
            matrix[:, 2] = np.where(np.abs(offset - offset.round()) < 1e-6, offset.round(), offset)
        out[frame] = cv2.warpAffine(source, matrix, size[::-1]) > 0.499
    return out
