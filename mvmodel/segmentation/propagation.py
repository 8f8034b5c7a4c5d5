"""Tracks one object from a seed frame in both directions through a clip.

The mask is propagated by the optical flow inside it, and refined by the segmenter with the propagated mask as prompt.
The refined mask is accepted if the segmenter's score is good, if it overlaps the propagated mask, and if it still looks
like the object. A lost object is searched among the automatic masks by its appearance. A propagated mask that no longer
looks like the object is dropped, so an object behind something else has an empty mask instead of a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from mvmodel.masks.geometry import area_fraction, bounding_box, innermost_point, mask_iou
from mvmodel.progress import track
from mvmodel.segmentation.config import ExtractConfig
from mvmodel.segmentation.protocols import SegmenterProtocol
from mvmodel.segmentation.saliency import Saliency
from mvmodel.segmentation.segmenter import MaskCandidate

_MAX_VIEWS = 5
"""Views in the appearance model besides the first one: the object turns, and the light changes."""

ScoredMask = tuple[np.ndarray, float]
"""A mask, bool (height, width), and the segmenter's score of it, 0..1."""


class EncodedClip:
    """A clip with its encodings and its automatic masks. Each is computed once, the masks when first needed.

    Args:
        frames: uint8 RGB (frames, height, width, 3).
        segmenter: Encodes the frames and answers prompts.
        config: Limits of the masks.
    """

    def __init__(self, frames: np.ndarray, segmenter: SegmenterProtocol, config: ExtractConfig) -> None:
        self.frames, self.segmenter, self.config = frames, segmenter, config
        self.encodings: Sequence[Any] = segmenter.encode(frames)
        self._candidates: dict[int, list[MaskCandidate]] = {}

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self.frames.shape[1], self.frames.shape[2]

    def has_valid_area(self, mask: np.ndarray) -> bool:
        """Whether a mask's area is within the limits of an object."""
        return self.config.min_area <= area_fraction(mask) <= self.config.max_area

    def candidates(self, index: int) -> list[MaskCandidate]:
        """The automatic masks of frame `index` with a valid area."""
        if index not in self._candidates:
            candidates = self.segmenter.automatic(self.encodings[index])
            self._candidates[index] = [c for c in candidates if self.has_valid_area(c.mask)]
        return self._candidates[index]


class AppearanceModel:
    """What an object looks like: its colours in the seed frame, and in the last frames with a confident mask."""

    def __init__(self, frame: np.ndarray, mask: np.ndarray) -> None:
        self._views = [colour_histogram(frame, mask)]

    def similarity(self, frame: np.ndarray, mask: np.ndarray) -> float:
        """Histogram intersection of the masked colours with the most similar view, 0..1."""
        if not mask.any():
            return 0.0
        histogram = colour_histogram(frame, mask)
        return max(float(np.minimum(view, histogram).sum()) for view in self._views)

    def update(self, frame: np.ndarray, mask: np.ndarray) -> None:
        """Adds a view. The first view stays, the oldest of the others is dropped."""
        self._views = [self._views[0], *self._views[1:][-(_MAX_VIEWS - 1) :], colour_histogram(frame, mask)]


def colour_histogram(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Colours inside a mask: a histogram of 4 x 8 x 8 CIELAB bins with a sum of 1."""
    left, top, right, bottom = bounding_box(mask)
    lab = cv2.cvtColor(np.ascontiguousarray(frame[top:bottom, left:right]), cv2.COLOR_RGB2LAB)
    cropped_mask = np.ascontiguousarray(mask[top:bottom, left:right]).astype(np.uint8)
    counts = cv2.calcHist([lab], [0, 1, 2], cropped_mask, [4, 8, 8], [0, 256, 0, 256, 0, 256]).ravel()
    histogram: np.ndarray = counts / max(1.0, float(counts.sum()))
    return histogram


def track_object(
    clip: EncodedClip,
    saliency: Saliency,
    start: int,
    mask: np.ndarray,
    score: float,
    progress: Callable[[], None] | None = None,
) -> tuple[np.ndarray, list[float]]:
    """Tracks the object that `mask` shows in frame `start` through the whole clip.

    Args:
        clip: The clip.
        saliency: The clip's optical flow.
        start: The seed frame.
        mask: The object in the seed frame, bool (height, width).
        score: The segmenter's score of that mask, 0..1.
        progress: Called after each frame.

    Returns:
        Masks, bool (frames, height, width), and their scores, 0..1. The score is 0 where a mask was only propagated.
    """
    masks = np.zeros(clip.frames.shape[:3], bool)
    scores = [0.0] * len(masks)
    masks[start], scores[start] = mask, score
    for step in (1, -1):
        indices = range(start + step, len(masks) if step > 0 else -1, step)
        _track_in_one_direction(clip, saliency, start, indices, masks, scores, progress)
    return masks, scores


def _track_in_one_direction(
    clip: EncodedClip,
    saliency: Saliency,
    start: int,
    indices: range,
    masks: np.ndarray,
    scores: list[float],
    progress: Callable[[], None] | None,
) -> None:
    """Fills `masks` and `scores` at `indices`, which begin next to the seed frame `start`."""
    config, seed_mask = clip.config, masks[start].copy()
    appearance = AppearanceModel(clip.frames[start], seed_mask)
    last, propagated_frames = start, 0
    for index in track(indices, "track the object"):
        is_lost = propagated_frames > config.max_propagated_frames
        propagated = np.zeros_like(seed_mask) if is_lost else saliency.propagate(masks[last], last, index)
        refined = None if is_lost else _refine(clip, index, propagated, appearance)
        scored_mask = refined or _recover(clip, index, appearance, seed_mask)
        if scored_mask is not None:
            masks[index], scores[index] = scored_mask
            last, propagated_frames = index, 0
            if scores[index] >= config.confident_score:
                appearance.update(clip.frames[index], masks[index])
        elif not is_lost:
            propagated_frames += 1
            if clip.has_valid_area(propagated) and (
                appearance.similarity(clip.frames[index], propagated) >= config.min_recovery_similarity
            ):
                masks[index], last = propagated, index
            else:
                propagated_frames = config.max_propagated_frames + 1
        if progress:
            progress()


def _refine(clip: EncodedClip, index: int, propagated: np.ndarray, appearance: AppearanceModel) -> ScoredMask | None:
    """The segmenter's best mask near the propagated one, or None if none is good, near and similar enough."""
    config = clip.config
    if area_fraction(propagated) < config.min_area:
        return None
    best: tuple[float, np.ndarray, float] | None = None
    for prompt in _prompts(propagated):
        masks, scores = clip.segmenter.predict(clip.encodings[index], **prompt)
        for mask, score in zip(masks, scores.tolist(), strict=True):
            overlap = mask_iou(mask, propagated)
            if score < config.min_score or overlap < config.min_overlap:
                continue
            if best is None or score + 0.5 * overlap > best[0]:
                best = (score + 0.5 * overlap, mask, score)
        if (
            best is not None
            and best[2] >= config.confident_score
            and mask_iou(best[1], propagated) >= config.confident_overlap
        ):
            break  # a confident mask where it was expected: further prompts would only cost time
    if best is None or appearance.similarity(clip.frames[index], best[1]) < config.min_appearance_similarity:
        return None
    return best[1:]


def _prompts(propagated: np.ndarray) -> tuple[dict[str, Any], ...]:
    """Prompts around a propagated mask: a point with the mask, a box with a margin, the point alone."""
    left, top, right, bottom = bounding_box(propagated)
    margin = 0.06 * max(right - left, bottom - top)
    height, width = propagated.shape
    box = [max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin)]
    point = innermost_point(propagated)[None]
    return {"point_coords": point, "mask_prompt": propagated}, {"box": np.array(box)}, {"point_coords": point}


def _recover(clip: EncodedClip, index: int, appearance: AppearanceModel, seed_mask: np.ndarray) -> ScoredMask | None:
    """The automatic mask most similar to the object and of about its size, or None if none is similar enough."""
    best: tuple[float, np.ndarray, float] | None = None
    for candidate in clip.candidates(index):
        if not 0.25 < candidate.mask.sum() / seed_mask.sum() < 4:
            continue
        similarity = appearance.similarity(clip.frames[index], candidate.mask)
        if similarity >= clip.config.min_recovery_similarity and (best is None or similarity > best[0]):
            best = (similarity, candidate.mask, candidate.score)
    return None if best is None else best[1:]
