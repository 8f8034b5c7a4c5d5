"""How the camera moves between pictures that follow one another: the motion that explains most of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

STANDING_STILL = np.array([[1.0, 0, 0], [0, 1, 0]])
_CELLS = 10
"""The residual of a camera motion is averaged over this many cells a side."""
_PRIOR_FACTOR = 1.08
"""Factor on the votes of standing still and of the usual motion, which are more probable than others."""
_MARGIN = 3
"""Pixels around a mask that are not looked at either."""


def camera_hypotheses(source: np.ndarray, target: np.ndarray, background: np.ndarray | None = None) -> list[np.ndarray]:
    """Possible camera motions from one grey picture to another, uint8 (h, w): affine, float (2, 3) each.

    Standing still, and what fits the tracked corners near the border, all of them, and the second fit's outliers.
    background: where corners are looked for, bool (h, w); None is everywhere.
    """
    hypotheses = [STANDING_STILL]
    area = None if background is None else background.astype(np.uint8)
    corners = cv2.goodFeaturesToTrack(source, 300, 0.005, 3, mask=area)
    if corners is None:
        return hypotheses
    tracked, forward_status, _ = cv2.calcOpticalFlowPyrLK(source, target, corners, None, winSize=(11, 11), maxLevel=3)
    returned, backward_status, _ = cv2.calcOpticalFlowPyrLK(target, source, tracked, None, winSize=(11, 11), maxLevel=3)
    is_consistent = np.linalg.norm(returned - corners, axis=2)[:, 0] < 0.7
    good = (forward_status[:, 0] == 1) & (backward_status[:, 0] == 1) & is_consistent
    start, end = corners[good, 0], tracked[good, 0]
    distance_to_centre = np.abs(start / np.array(source.shape[::-1]) * 2 - 1).max(axis=1)
    _add_hypotheses(start[distance_to_centre > 0.7], end[distance_to_centre > 0.7], hypotheses)
    inliers = _add_hypotheses(start, end, hypotheses)
    if inliers is not None:
        _add_hypotheses(start[~inliers], end[~inliers], hypotheses)
    return hypotheses


def _add_hypotheses(start: np.ndarray, end: np.ndarray, hypotheses: list[np.ndarray]) -> np.ndarray | None:
    """Adds a translation and a similarity that explain most points. Returns the similarity's inliers."""
    if len(start) < 3:
        return None
    hypotheses.append(np.column_stack([np.eye(2), np.median(end - start, axis=0)]))
    cv2.setRNGSeed(1)
    matrix, inliers = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=0.8)
    if matrix is None or not 0.8 < np.sqrt(abs(np.linalg.det(matrix[:, :2]))) < 1.25:
        return None
    hypotheses.append(matrix)
    is_inlier: np.ndarray = inliers[:, 0].astype(bool)
    return is_inlier


def residuals(
    source: np.ndarray, target: np.ndarray, hypotheses: list[np.ndarray], background: np.ndarray | None = None
) -> np.ndarray:
    """What each motion leaves unexplained between two grey pictures: float32 (hypotheses, _CELLS, _CELLS).

    background: the part of `target` that counts, bool (h, w); cells without any are 0. None is all of it.
    """
    errors = []
    for matrix in hypotheses:
        warped = cv2.warpAffine(source, matrix, source.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        difference = np.minimum(cv2.absdiff(warped, target), 40).astype(np.float32)
        if background is not None:
            difference *= background
        errors.append(cv2.resize(difference, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA))
    if background is None:
        return np.stack(errors)
    return np.stack(errors) / np.maximum(0.05, _background_share(background))


def _background_share(background: np.ndarray) -> np.ndarray:
    """Share of every cell that is background, float32 (_CELLS, _CELLS)."""
    return cv2.resize(background.astype(np.float32), (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)


def count_votes(errors: np.ndarray, background: np.ndarray | None = None) -> np.ndarray:
    """How many cells each motion explains as well as the best motion does, float (hypotheses,).

    Outer cells count double: the camera moves the whole picture, an object only few cells near each other, however rich
    in detail they are. If it is known what is background, that decides instead, and cells without structure, which
    every motion explains, do not count.

    Args:
        errors: As `residuals` returns them.
        background: As there.
    """
    explained = errors <= errors.min(axis=0) + 0.7
    distance_to_centre = np.abs(np.linspace(-1, 1, _CELLS))
    weight = np.where(np.maximum(distance_to_centre[:, None], distance_to_centre[None]) > 0.75, 1.0, 0.5)
    if background is not None:
        weight = _background_share(background) * ~explained.all(axis=0)
    return np.asarray((explained * weight).sum(axis=(1, 2)))


def estimate_camera_path(grey: list[np.ndarray], masks: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """The camera's motion between neighbouring grey pictures: float (2, 3) each, one fewer than pictures.

    Cameras move evenly. So the median motion of the neighbours in time is a further hypothesis for every pair, and has
    more weight, as standing still has.

    masks: The pictures' foreground, which does not move with the camera, bool (h, w) each; None if it is unknown.
    """
    backgrounds = [None] * len(grey) if masks is None else [_find_background(mask) for mask in masks]
    pairs = list(zip(pairwise(grey), pairwise(backgrounds), strict=True))
    hypotheses = [camera_hypotheses(a, b, background) for (a, b), (background, _) in pairs]
    errors = [
        residuals(a, b, hypothesis, area) for ((a, b), (_, area)), hypothesis in zip(pairs, hypotheses, strict=True)
    ]
    first_path = []
    for (_, (_, area)), matrices, pair_errors in zip(pairs, hypotheses, errors, strict=True):
        votes = count_votes(pair_errors, area)
        votes[0] *= _PRIOR_FACTOR
        first_path.append(matrices[int(votes.argmax())])
    path = []
    for index, (((a, b), (_, area)), matrices, pair_errors) in enumerate(zip(pairs, hypotheses, errors, strict=True)):
        median_motion = np.median(np.stack(first_path[max(0, index - 4) : index + 5]), axis=0)
        votes = count_votes(np.concatenate([pair_errors, residuals(a, b, [median_motion], area)]), area)
        votes[[0, -1]] *= _PRIOR_FACTOR
        path.append([*matrices, median_motion][int(votes.argmax())])
    return path


def _find_background(mask: np.ndarray) -> np.ndarray:
    """What is certainly not foreground, bool (h, w)."""
    size = 2 * _MARGIN + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) == 0
