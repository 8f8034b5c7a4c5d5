"""Signed distances to a mask's outline, from which shapes are interpolated, grown and smoothed."""

from __future__ import annotations

import cv2
import numpy as np

from mvmodel.masks.geometry import centroid


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance of every pixel's centre to the outline, float32 (height, width), in pixels; positive inside.

    Of an empty mask, it is minus the picture's height plus width everywhere; of a full one, plus as much.
    """
    height, width = mask.shape
    far = float(height + width)
    if not mask.any() or mask.all():
        return np.full(mask.shape, far if mask.all() else -far, np.float32)
    to_background = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    to_foreground = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(mask, to_background - 0.5, 0.5 - to_foreground).astype(np.float32)


def interpolate_shapes(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Shapes between two masks, bool (weights, height, width). A weight of 0 gives the first mask, 1 the second.

    The masks are centred and their signed distances are mixed. A threshold gives the mix the interpolated
    area, and it is moved to the line between the two centroids. So masks that do not touch move, instead of one
    vanishing while the other appears. Between an empty and another mask, the shape stays in place and shrinks.
    """
    height, width = first.shape
    start = centroid(first) if first.any() else centroid(second) if second.any() else (width / 2, height / 2)
    end = centroid(second) if second.any() else start
    # Twice the picture, so that no part of a centred shape is cut off.
    middle = np.array([width, height], float)

    def centred_distance(mask: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
        shift = np.column_stack([np.eye(2), middle - centre])
        return signed_distance(cv2.warpAffine(mask.astype(np.float32), shift, (2 * width, 2 * height)) > 0.499)

    a, b = centred_distance(first, start), centred_distance(second, end)
    out = np.zeros((len(weights), height, width), bool)
    for index, weight in enumerate(np.asarray(weights, float)):
        if weight <= 0 or weight >= 1:
            out[index] = first if weight <= 0 else second
            continue
        area = round((1 - weight) * float(first.sum()) + weight * float(second.sum()))
        if area < 1:
            continue
        mixed = ((1 - weight) * a + weight * b).astype(np.float32)
        mixed -= np.partition(mixed, -area, axis=None)[-area] - 1e-3
        position = np.array(start) + weight * (np.array(end) - np.array(start))
        back = np.column_stack([np.eye(2), position - centroid(mixed > 0)])
        out[index] = cv2.warpAffine(mixed, back, (width, height), borderValue=-1.0) > 0
    return out
