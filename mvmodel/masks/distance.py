"""Signed distances to a mask's outline: what shapes between shapes, growing and smoothing are computed from."""

from __future__ import annotations

import cv2
import numpy as np

from mvmodel.masks.geometry import centroid


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance of every pixel's centre to the outline, float32 (height, width), pixels; positive inside.

    An empty mask is everywhere as far outside as the picture is long, a full one as far inside.
    """
    height, width = mask.shape
    far = float(height + width)
    if not mask.any() or mask.all():
        return np.full(mask.shape, far if mask.all() else -far, np.float32)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)


def interpolate_shapes(first: np.ndarray, second: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Shapes between two masks, bool (shares, height, width); a share of 0 gives the first, of 1 the second.

    Both are brought to one centre, their signed distances are mixed there, cut where the area lies as far between the
    two areas, and laid on the straight line between the two centres: masks that do not touch move, instead of one
    vanishing while the other appears. Between an empty and another mask the shape keeps its place and shrinks.
    """
    height, width = first.shape
    start = centroid(first) if first.any() else centroid(second) if second.any() else (width / 2, height / 2)
    end = centroid(second) if second.any() else start
    # Twice the picture, so that no part of a centred shape is cut off.
    middle = np.array([width, height], float)

    def centred(mask: np.ndarray, at: tuple[float, float]) -> np.ndarray:
        shift = np.column_stack([np.eye(2), middle - at])
        return signed_distance(cv2.warpAffine(mask.astype(np.float32), shift, (2 * width, 2 * height)) > 0.499)

    a, b = centred(first, start), centred(second, end)
    out = np.zeros((len(shares), height, width), bool)
    for index, share in enumerate(np.asarray(shares, float)):
        if share <= 0 or share >= 1:
            out[index] = first if share <= 0 else second
            continue
        area = round((1 - share) * float(first.sum()) + share * float(second.sum()))
        if area < 1:
            continue
        mixed = ((1 - share) * a + share * b).astype(np.float32)
        mixed -= np.partition(mixed, -area, axis=None)[-area] - 1e-3
        at = np.array(start) + share * (np.array(end) - np.array(start))
        back = np.column_stack([np.eye(2), at - centroid(mixed > 0)])
        out[index] = cv2.warpAffine(mixed, back, (width, height), borderValue=-1.0) > 0
    return out
