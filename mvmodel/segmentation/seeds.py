"""Where to begin: the frame and the mask in which saliency and segmenter agree best, prompted without a click."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mvmodel.segmentation.propagation import EncodedClip
from mvmodel.segmentation.saliency import Saliency, soft_iou
from mvmodel.video.sampling import evenly_spaced_indices

_GRID = 48
"""Prompt points are placed on maps brought to this many cells on the long side."""
_REACH = 0.06
"""Standard deviation of the hole that a placed point leaves in the map, as a share of the long side."""

_ELSEWHERE = 0.6
"""What a mask counts that leaves out its frame's most salient point."""


@dataclass(frozen=True)
class Seed:
    """frame: its number. mask: bool (H, W). score: the segmenter's quality of it. value: how well the mask explains
    the saliency, times score. prompt: frame, x and y of the very first point that was tried, in pixels."""

    frame: int
    mask: np.ndarray
    score: float
    value: float
    prompt: tuple[int, float, float]


def prompt_points(wanted: np.ndarray, most: int) -> np.ndarray:
    """Points to prompt at, float (points, 2) x, y, the most salient first and each away from the ones before.

    wanted: saliency, float (H, W) 0..1. No point is placed where less than a third of the highest saliency is left.
    """
    height, width = wanted.shape
    scale = _GRID / max(height, width)
    size = max(4, round(width * scale)), max(4, round(height * scale))
    field = cv2.GaussianBlur(cv2.resize(wanted, size, interpolation=cv2.INTER_AREA), (0, 0), 1.2)
    rows, columns = np.mgrid[: size[1], : size[0]]
    top = float(field.max())
    points: list[list[float]] = []
    while len(points) < most and top > 0:
        row, column = np.unravel_index(int(field.argmax()), field.shape)
        if field[row, column] < top / 3:
            break
        points.append([(column + 0.5) * width / size[0], (row + 0.5) * height / size[1]])
        near = ((rows - row) ** 2 + (columns - column) ** 2) / (2 * (_REACH * _GRID) ** 2)
        field = field * (1 - np.exp(-near)).astype(np.float32)
    return np.array(points, float).reshape(-1, 2)


def find_seed(clip: EncodedClip, salient: Saliency, taken: np.ndarray | None = None) -> Seed | None:
    """The best seed over frames spread through the clip, or None when nothing is salient.

    taken: bool (F, H, W), what other objects explain already; saliency there does not count.
    """
    picks = evenly_spaced_indices(clip.config.seed_frames, len(clip.frames))
    tried: list[tuple[float, int, np.ndarray, np.ndarray]] = []
    for index in picks.tolist():
        wanted = salient.at(index, clip.size)
        if taken is not None:
            wanted = np.where(_wider(taken[index]), 0, wanted)
        points = prompt_points(wanted, clip.config.points_per_seed_frame)
        if len(points):
            tried.append((float(wanted.mean() / wanted.max()), index, wanted, points))
    tried.sort(key=lambda entry: entry[:2])  # first where saliency lies closest together: there it is surest
    best: Seed | None = None
    for _, index, wanted, points in tried:
        found = clip.segmenter.automatic(clip.encodings[index], points=points, min_area=clip.config.min_area)
        for candidate in found:
            mask = candidate.mask
            if not clip.fits(mask) or (taken is not None and (mask & taken[index]).sum() > 0.3 * mask.sum()):
                continue
            value = soft_iou(mask, wanted) * candidate.score
            if not mask[_cell(points[0], mask)]:
                value *= _ELSEWHERE
            if best is None or value > best.value:
                prompt = (tried[0][1], float(tried[0][3][0][0]), float(tried[0][3][0][1]))
                best = Seed(index, mask, candidate.score, value, prompt)
    return best


def _wider(mask: np.ndarray) -> np.ndarray:
    """A mask with a margin: flow and blur smear an object's saliency beyond its outline."""
    radius = max(2, round(0.02 * max(mask.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    wider: np.ndarray = cv2.dilate(mask.astype(np.uint8), disc) > 0
    return wider


def _cell(point: np.ndarray, mask: np.ndarray) -> tuple[int, int]:
    """Row and column of a point x, y."""
    return min(int(point[1]), mask.shape[0] - 1), min(int(point[0]), mask.shape[1] - 1)
