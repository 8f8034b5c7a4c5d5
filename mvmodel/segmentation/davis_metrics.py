"""Region similarity J and contour accuracy F as the DAVIS benchmark defines them (Perazzi et al., CVPR 2016)."""

from __future__ import annotations

import cv2
import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.geometry import iou_per_frame

_CONTOUR_TOLERANCE = 0.008
"""Distance, as a share of the picture's diagonal, within which two contour points match."""


def region_similarity(masks: np.ndarray, truth: np.ndarray) -> float:
    """J: mean over frames of intersection over union, 0..1. Two empty masks count 1.

    masks, truth: bool (frames, height, width). Raises InputError for different shapes.
    """
    _check_shapes(masks, truth)
    return float(iou_per_frame(masks, truth).mean())


def contour_accuracy(masks: np.ndarray, truth: np.ndarray) -> float:
    """F: mean over frames of the harmonic mean of contour precision and recall, 0..1.

    A contour pixel of one mask matches if the other's contour is within 0.8 % of the diagonal, rounded up. masks,
    truth: bool (frames, height, width). Raises InputError for different shapes.
    """
    _check_shapes(masks, truth)
    return float(np.mean([_contour_f_score(a, b) for a, b in zip(masks, truth, strict=True)]))


def _check_shapes(masks: np.ndarray, truth: np.ndarray) -> None:
    if masks.shape != truth.shape or masks.ndim != 3 or len(masks) == 0:
        raise InputError(f"masks to compare are of one shape (frames, height, width), not {masks.shape} {truth.shape}")


def _contour(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the right, lower or lower right neighbour: the benchmark's one-pixel contour."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    pixels = padded[:-1, :-1]
    out: np.ndarray = (pixels ^ padded[:-1, 1:]) | (pixels ^ padded[1:, :-1]) | (pixels ^ padded[1:, 1:])
    return out


def _contour_f_score(mask: np.ndarray, truth: np.ndarray) -> float:
    a, b = _contour(mask), _contour(truth)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    radius = int(np.ceil(_CONTOUR_TOLERANCE * np.hypot(*mask.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    near_a, near_b = (cv2.dilate(contour.astype(np.uint8), disc) > 0 for contour in (a, b))
    precision, recall = (a & near_b).sum() / a.sum(), (b & near_a).sum() / b.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
