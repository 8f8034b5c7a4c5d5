"""The motion between two masks of one object, and a picture of the object moved by it."""

from __future__ import annotations

import cv2
import numpy as np

ECC_ITERATIONS = 50
"""Upper limit of the refinement's iterations for one frame."""
ECC_BLUR = 3.0
"""Standard deviation in pixels of the blur under which two masks are aligned."""
MIN_AREA = 16
"""A mask of fewer pixels cannot be registered."""


def register_mask(source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """The affine motion (2, 3) that takes points of one mask to another; None if one of them is (nearly) empty.

    Centre and second moments give a first estimate, which enhanced correlation (`cv2.findTransformECC`) refines.
    source, target: bool (H, W).
    """
    if source.sum() < MIN_AREA or target.sum() < MIN_AREA:
        return None
    estimate = _match_moments(source, target)
    template, moving = (cv2.GaussianBlur(mask.astype(np.float32), (0, 0), ECC_BLUR) for mask in (source, target))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_ITERATIONS, 1e-4)
    try:
        _, refined = cv2.findTransformECC(template, moving, estimate.astype(np.float32), cv2.MOTION_AFFINE, criteria)
    except cv2.error:  # it did not converge: the masks are too different
        return estimate
    candidates = [estimate, np.asarray(refined, np.float64)]
    return max(candidates, key=lambda matrix: _overlap(source, target, matrix))


def _match_moments(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The affine motion with the smallest deformation that matches centre and covariance."""
    centres, roots = [], []
    for mask in (source, target):
        points = np.argwhere(mask)[:, ::-1].astype(np.float64)
        centres.append(points.mean(axis=0))
        values, vectors = np.linalg.eigh(np.cov(points.T) + 0.1 * np.eye(2))
        roots.append((vectors * np.sqrt(values)) @ vectors.T)
    linear = roots[1] @ np.linalg.inv(roots[0])
    return np.column_stack([linear, centres[1] - linear @ centres[0]])


def _overlap(source: np.ndarray, target: np.ndarray, matrix: np.ndarray) -> float:
    """IoU of the moved source with the target."""
    height, width = target.shape
    warped = cv2.warpAffine(source.astype(np.uint8), matrix, (width, height)) > 0
    return float((warped & target).sum() / max(1, (warped | target).sum()))


def move_object(picture: np.ndarray, mask: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """An object moved and deformed to fit another mask; None if one of the masks is (nearly) empty.

    Args:
        picture: The object's picture, uint8 (H, W, 3).
        mask: Where the object is in it, bool (H, W).
        target: Where it has to be, bool (H, W).

    Returns:
        The picture after the motion, uint8 (H, W, 3), and where it shows the object inside `target`, bool (H, W).
    """
    matrix = register_mask(mask, target)
    if matrix is None:
        return None
    size = (target.shape[1], target.shape[0])
    moved_picture = cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    visible = (cv2.warpAffine(mask.astype(np.uint8), matrix, size) > 0) & target
    return np.asarray(moved_picture), visible
