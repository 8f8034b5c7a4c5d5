"""One object carried from a seed frame both ways through a clip.

The mask is moved by the flow inside it, refined by the segmenter with the moved mask as prior, and believed when the
segmenter's own quality is good, when it lies near where the flow put it, and when it still looks like the object. An
object that is lost is looked for among the automatic masks by its looks; a carried mask that no longer looks like it
is given up, so an object behind something else leaves an empty mask and not a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mvmodel.masks.geometry import area_fraction, bounding_box, innermost_point, mask_iou
from mvmodel.segmentation.saliency import Saliency
from mvmodel.segmentation.segmenter import Encoding, MaskCandidate, Segmenter

if TYPE_CHECKING:
    from mvmodel.segmentation.config import ExtractConfig

_REMEMBERED = 5
"""Views of the object kept beside the first one: it turns, and light changes."""


class EncodedClip:
    """A clip with its encodings and automatic masks, each computed once and when first asked for."""

    def __init__(self, frames: np.ndarray, segmenter: Segmenter, config: ExtractConfig) -> None:
        self.frames, self.segmenter, self.config = frames, segmenter, config
        self.encodings: list[Encoding] = segmenter.encode(frames)
        self._candidates: dict[int, list[MaskCandidate]] = {}

    @property
    def size(self) -> tuple[int, int]:
        return self.frames.shape[1], self.frames.shape[2]

    def fits(self, mask: np.ndarray) -> bool:
        """Whether a mask's area is one an object may have."""
        return self.config.min_area <= area_fraction(mask) <= self.config.max_area

    def candidates(self, index: int) -> list[MaskCandidate]:
        """Everything that the segmenter takes for a thing in a frame, on a grid of prompts."""
        if index not in self._candidates:
            found = self.segmenter.automatic(self.encodings[index])
            self._candidates[index] = [candidate for candidate in found if self.fits(candidate.mask)]
        return self._candidates[index]


class AppearanceModel:
    """What an object looks like: its colours at the seed, and at the last frames where it was surely seen."""

    def __init__(self, frame: np.ndarray, mask: np.ndarray) -> None:
        self._views = [colour_histogram(frame, mask)]

    def likeness(self, frame: np.ndarray, mask: np.ndarray) -> float:
        """Share of colours that a mask has in common with the most similar remembered view, 0..1."""
        if not mask.any():
            return 0.0
        seen = colour_histogram(frame, mask)
        return max(float(np.minimum(view, seen).sum()) for view in self._views)

    def remember(self, frame: np.ndarray, mask: np.ndarray) -> None:
        self._views = [self._views[0], *self._views[1:][-(_REMEMBERED - 1) :], colour_histogram(frame, mask)]


def colour_histogram(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Colours inside a mask: a histogram over 4 x 8 x 8 CIELAB cells that sums to 1."""
    left, top, right, bottom = bounding_box(mask)
    lab = cv2.cvtColor(np.ascontiguousarray(frame[top:bottom, left:right]), cv2.COLOR_RGB2LAB)
    inside = np.ascontiguousarray(mask[top:bottom, left:right]).astype(np.uint8)
    counts = cv2.calcHist([lab], [0, 1, 2], inside, [4, 8, 8], [0, 256, 0, 256, 0, 256]).ravel()
    shares: np.ndarray = counts / max(1.0, float(counts.sum()))
    return shares


def track_object(
    clip: EncodedClip,
    salient: Saliency,
    start: int,
    mask: np.ndarray,
    score: float,
    progress: Callable[[], None] | None = None,
) -> tuple[np.ndarray, list[float]]:
    """Masks, bool (F, H, W), and their qualities, 0..1, of the object that `mask` shows in frame `start`."""
    masks = np.zeros(clip.frames.shape[:3], bool)
    confidence = [0.0] * len(masks)
    masks[start], confidence[start] = mask, score
    for step in (1, -1):
        looks = AppearanceModel(clip.frames[start], mask)
        last, carried_for = start, 0
        for index in range(start + step, len(masks) if step > 0 else -1, step):
            lost = carried_for > clip.config.max_propagated_frames
            carried = np.zeros_like(mask) if lost else salient.carry(masks[last], last, index)
            found = (None if lost else _refine(clip, index, carried, looks)) or _recover(clip, index, looks, mask)
            if found is not None:
                masks[index], confidence[index] = found
                last, carried_for = index, 0
                if found[1] >= clip.config.confident_score:
                    looks.remember(clip.frames[index], found[0])
            elif not lost:
                carried_for += 1
                if (
                    clip.fits(carried)
                    and looks.likeness(clip.frames[index], carried) >= clip.config.min_recovery_similarity
                ):
                    masks[index], last = carried, index
                else:
                    carried_for = clip.config.max_propagated_frames + 1
            if progress:
                progress()
    return masks, confidence


def _refine(
    clip: EncodedClip, index: int, carried: np.ndarray, looks: AppearanceModel
) -> tuple[np.ndarray, float] | None:
    """The segmenter's mask nearest to the carried one, or None when none is good, near and alike enough."""
    if area_fraction(carried) < clip.config.min_area:
        return None
    left, top, right, bottom = bounding_box(carried)
    grow = 0.06 * max(right - left, bottom - top)
    height, width = carried.shape
    box = np.array([max(0, left - grow), max(0, top - grow), min(width, right + grow), min(height, bottom + grow)])
    point = innermost_point(carried)[None]
    best: tuple[float, np.ndarray, float] | None = None
    prompts: tuple[dict[str, Any], ...] = ({"points": point, "prior": carried}, {"box": box}, {"points": point})
    for prompt in prompts:
        found, scores = clip.segmenter.predict(clip.encodings[index], **prompt)
        for mask, score in zip(found, scores.tolist(), strict=True):
            near = mask_iou(mask, carried)
            if score < clip.config.min_score or near < clip.config.min_overlap:
                continue
            if best is None or score + 0.5 * near > best[0]:
                best = (score + 0.5 * near, mask, score)
        if (
            best is not None
            and best[2] >= clip.config.confident_score
            and mask_iou(best[1], carried) >= clip.config.confident_overlap
        ):
            break  # a sure mask just where it was expected: other prompts would only cost time
    if best is None or looks.likeness(clip.frames[index], best[1]) < clip.config.min_appearance_similarity:
        return None
    return best[1:]


def _recover(
    clip: EncodedClip, index: int, looks: AppearanceModel, first: np.ndarray
) -> tuple[np.ndarray, float] | None:
    """The automatic mask that looks most like the object and is about as large, or None when none is."""
    best: tuple[float, np.ndarray, float] | None = None
    for candidate in clip.candidates(index):
        if not 0.25 < candidate.mask.sum() / first.sum() < 4:
            continue
        likeness = looks.likeness(clip.frames[index], candidate.mask)
        if likeness >= clip.config.min_recovery_similarity and (best is None or likeness > best[0]):
            best = (likeness, candidate.mask, candidate.score)
    return None if best is None else best[1:]
