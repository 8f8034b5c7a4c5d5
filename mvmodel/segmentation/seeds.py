"""Where tracking begins: the frame and mask in which saliency and segmenter agree best, prompted without a click."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mvmodel.segmentation.propagation import EncodedClip
from mvmodel.segmentation.saliency import Saliency, soft_iou
from mvmodel.segmentation.u2net import SaliencyEncoding
from mvmodel.video.sampling import evenly_spaced_indices

_GRID = 48
"""Prompt points are placed on maps downscaled to this many cells on the long side."""
_POINT_SPACING = 0.06
"""Standard deviation of the hole that a point leaves in the map, as a share of the long side."""
_MISSES_PEAK = 0.6
"""Factor on the value of a mask that does not contain its frame's most salient point."""
_UNCONFIRMED = 0.3
"""Factor on saliency where a segmenter of salient objects sees none: moving shadows, water and leaves."""
_MAX_SHARED_AREA = 0.3
"""Share of a mask that may belong to other objects."""


@dataclass(frozen=True)
class Seed:
    """Where tracking begins.

    frame: the frame's index. mask: bool (height, width). score: the segmenter's score of the mask. value: how well the
    mask explains the saliency, times the score. prompt: frame, x and y, in pixels, of the first point that was tried.
    """

    frame: int
    mask: np.ndarray
    score: float
    value: float
    prompt: tuple[int, float, float]


@dataclass(frozen=True)
class _SalientFrame:
    """A frame with prompt points. concentration: mean saliency as a share of its maximum; small is best."""

    concentration: float
    index: int
    saliency_map: np.ndarray
    points: np.ndarray


def prompt_points(saliency_map: np.ndarray, max_points: int) -> np.ndarray:
    """Points to prompt at, float (points, 2) x and y, the most salient first and each away from those before it.

    No point is placed where less than a third of the highest saliency is left.

    Args:
        saliency_map: float (height, width), 0..1.
        max_points: Largest number of points.
    """
    height, width = saliency_map.shape
    scale = _GRID / max(height, width)
    size = max(4, round(width * scale)), max(4, round(height * scale))
    field = cv2.GaussianBlur(cv2.resize(saliency_map, size, interpolation=cv2.INTER_AREA), (0, 0), 1.2)
    rows, columns = np.mgrid[: size[1], : size[0]]
    peak = float(field.max())
    points: list[list[float]] = []
    while len(points) < max_points and peak > 0:
        row, column = np.unravel_index(int(field.argmax()), field.shape)
        if field[row, column] < peak / 3:
            break
        points.append([(column + 0.5) * width / size[0], (row + 0.5) * height / size[1]])
        squared_distance = ((rows - row) ** 2 + (columns - column) ** 2) / (2 * (_POINT_SPACING * _GRID) ** 2)
        field = field * (1 - np.exp(-squared_distance)).astype(np.float32)
    return np.array(points, float).reshape(-1, 2)


def find_seed(clip: EncodedClip, saliency: Saliency, other_masks: np.ndarray | None = None) -> Seed | None:
    """The best seed over evenly spaced frames, or None if nothing is salient.

    Args:
        clip: The clip.
        saliency: The clip's saliency.
        other_masks: Masks of the other objects, bool (frames, height, width). Saliency there does not count.
    """
    salient_frames = _find_salient_frames(clip, saliency, other_masks)
    best: Seed | None = None
    for salient_frame in salient_frames:
        index, points = salient_frame.index, salient_frame.points
        candidates = clip.segmenter.automatic(clip.encodings[index], point_coords=points, min_area=clip.config.min_area)
        for candidate in candidates:
            mask = candidate.mask
            if not clip.has_valid_area(mask):
                continue
            if other_masks is not None and (mask & other_masks[index]).sum() > _MAX_SHARED_AREA * mask.sum():
                continue
            value = soft_iou(mask, salient_frame.saliency_map) * candidate.score
            if not mask[_pixel_at(points[0], mask)]:
                value *= _MISSES_PEAK
            if best is None or value > best.value:
                first = salient_frames[0]
                prompt = (first.index, float(first.points[0][0]), float(first.points[0][1]))
                best = Seed(index, mask, candidate.score, value, prompt)
    return best


def _find_salient_frames(clip: EncodedClip, saliency: Saliency, other_masks: np.ndarray | None) -> list[_SalientFrame]:
    """The frames to prompt, those with the most concentrated saliency first: there it is most certain."""
    salient_frames = []
    for index in evenly_spaced_indices(clip.config.seed_frames, len(clip.frames)).tolist():
        saliency_map = saliency.at(index, clip.size)
        if other_masks is not None:
            saliency_map = np.where(_add_margin(other_masks[index]), 0, saliency_map)
        saliency_map = _weigh_by_segmenter(saliency_map, clip.encodings[index])
        points = prompt_points(saliency_map, clip.config.points_per_seed_frame)
        if len(points):
            concentration = float(saliency_map.mean() / saliency_map.max())
            salient_frames.append(_SalientFrame(concentration, index, saliency_map, points))
    return sorted(salient_frames, key=lambda frame: (frame.concentration, frame.index))


def _weigh_by_segmenter(saliency_map: np.ndarray, encoding: object) -> np.ndarray:
    """Saliency that a segmenter of salient objects confirms. Encodings of other segmenters change nothing."""
    if not isinstance(encoding, SaliencyEncoding):
        return saliency_map
    weighted: np.ndarray = saliency_map * (_UNCONFIRMED + (1 - _UNCONFIRMED) * encoding.probabilities)
    return weighted


def _add_margin(mask: np.ndarray) -> np.ndarray:
    """A mask with a margin: flow and blur smear an object's saliency beyond its outline."""
    radius = max(2, round(0.02 * max(mask.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    dilated: np.ndarray = cv2.dilate(mask.astype(np.uint8), disc) > 0
    return dilated


def _pixel_at(point: np.ndarray, mask: np.ndarray) -> tuple[int, int]:
    """Row and column of a point x, y."""
    return min(int(point[1]), mask.shape[0] - 1), min(int(point[0]), mask.shape[1] - 1)
