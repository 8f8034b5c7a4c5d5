"""Region similarity J and contour accuracy F as the DAVIS benchmark defines them (Perazzi et al., CVPR 2016)."""

from __future__ import annotations

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.geometry import iou_per_frame

_BOUND = 0.008
"""A contour point counts as found within this share of the picture's diagonal."""


def region_similarity(found: np.ndarray, truth: np.ndarray) -> float:
    """J: mean over frames of intersection over union; both empty counts 1. Masks bool (frames, height, width)."""
    _alike(found, truth)
    return float(iou_per_frame(found, truth).mean())


def contour_accuracy(found: np.ndarray, truth: np.ndarray) -> float:
    """F: mean over frames of the harmonic mean of contour precision and recall, 0..1.

    A contour pixel of one mask is matched when the other's contour lies within 0.8 % of the diagonal, rounded up.
    """
    _alike(found, truth)
    return float(np.mean([_contours(a, b) for a, b in zip(found, truth, strict=True)]))


def _alike(found: np.ndarray, truth: np.ndarray) -> None:
    if found.shape != truth.shape or found.ndim != 3 or len(found) == 0:
        raise InputError(f"masks to compare are of one shape (frames, height, width), not {found.shape} {truth.shape}")


def _contour(mask: np.ndarray) -> np.ndarray:
    """Pixels whose right, lower or lower right neighbour is on the other side: the benchmark's one-pixel contour."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    out: np.ndarray = (here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:])
    return out


def _contours(found: np.ndarray, truth: np.ndarray) -> float:
    import cv2

    a, b = _contour(found), _contour(truth)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    radius = int(np.ceil(_BOUND * np.hypot(*found.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    near_a, near_b = (cv2.dilate(side.astype(np.uint8), disc) > 0 for side in (a, b))
    precision, recall = (a & near_b).sum() / a.sum(), (b & near_a).sum() / b.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
