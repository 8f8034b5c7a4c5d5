"""Adherence: does the object fill its control mask?

The judge is independent. It looks for the foreground in the finished frames with automatic masks, and picks the
candidate that the scorer finds most similar to the object's word. The control mask is not among its arguments, so
moving the control mask after generation lowers the score. `iou_prompted` does give the mask's box to the segmenter,
which flatters whatever is inside; it is printed beside `iou` and never replaces it. `iou_independent` finds the object
with U-2-Netp, a model from outside that sees neither mask nor prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mvmodel.masks.geometry import bounding_box, centroids, iou_per_frame
from mvmodel.metrics.appearance import GREY, consistency
from mvmodel.metrics.config import JudgeConfig
from mvmodel.progress import start_task, track
from mvmodel.text import with_article

if TYPE_CHECKING:
    from mvmodel.metrics.protocols import ScorerProtocol
    from mvmodel.segmentation.protocols import SegmenterProtocol
    from mvmodel.segmentation.u2net import U2NetSegmenter

_SALIENT = 0.5
"""Probability from which the independent judge takes a pixel for the object."""


def iou(foreground: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """|foreground and mask| / |foreground or mask| of every frame: float (frames,), 0..1, higher is better.

    foreground: where the object was detected. foreground, masks: bool (frames, height, width). Both empty counts 1, one
    empty counts 0. The mean over frames is the paper's "IoU of foreground against the control mask"; the paper does not
    say how its authors found the foreground.
    """
    return iou_per_frame(foreground, masks)


def centroid_error(foreground: np.ndarray, masks: np.ndarray) -> float:
    """Mean over frames of |foreground's centre - mask's centre| / picture's diagonal. Range 0..1, lower is better.

    foreground, masks: bool (frames, height, width). 0 is exact. Frames in which either is empty are left out; NaN when
    all are. Peekaboo's centroid distance, with the mean of coordinates for a centre.
    """
    distance = np.linalg.norm(centroids(foreground) - centroids(masks), axis=1) / np.hypot(*masks.shape[1:])
    return float(np.nanmean(distance)) if np.isfinite(distance).any() else float("nan")


def area_ratio(foreground: np.ndarray, masks: np.ndarray) -> float:
    """Mean over frames of foreground area / mask area. Range 0 upwards: 1 is exact, above is too large, 0 is nothing.

    foreground, masks: bool (frames, height, width). Frames with an empty mask are left out; NaN when all are. Peekaboo
    reports the distance of this ratio from 1; the ratio itself keeps the direction of the error.
    """
    areas = masks.sum(axis=(1, 2))
    present = areas > 0
    if not present.any():
        return float("nan")
    return float((foreground.sum(axis=(1, 2))[present] / areas[present]).mean())


def cut_out(frame: np.ndarray, mask: np.ndarray, config: JudgeConfig = JudgeConfig()) -> np.ndarray:
    """A candidate alone on grey ground, cropped to its box with a margin: uint8 (crop_size, crop_size, 3).

    frame: uint8 (height, width, 3). mask: bool (height, width), not empty.
    """
    left, top, right, bottom = bounding_box(mask)
    side = int(np.ceil(max(bottom - top, right - left) * (1 + 2 * config.crop_margin)))
    square = np.full((side, side, 3), GREY, np.uint8)
    y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
    shape = mask[top:bottom, left:right]
    square[y : y + bottom - top, x : x + right - left][shape] = frame[top:bottom, left:right][shape]
    interpolation = cv2.INTER_AREA if side > config.crop_size else cv2.INTER_CUBIC
    crop: np.ndarray = cv2.resize(square, (config.crop_size, config.crop_size), interpolation=interpolation)
    return crop


def similarity_margin(
    pictures: np.ndarray, word: str, scorer: ScorerProtocol, distractors: Sequence[str] = ()
) -> np.ndarray:
    """Cosine with "a {word}" less the mean cosine with the distractors: float (pictures,), -2..2.

    pictures: uint8 (pictures, side, side, 3). distractors: other object words. Without any, the cosine alone.
    """
    embeddings = scorer.images(pictures)
    cosines = embeddings @ scorer.texts([with_article(word)])[0]
    phrases = [with_article(distractor) for distractor in distractors if distractor != word]
    if not phrases:
        return np.asarray(cosines)
    return np.asarray(cosines - (embeddings @ scorer.texts(phrases).T).mean(axis=1))


@dataclass(frozen=True)
class Detections:
    """Where the judge sees the object(s) of a video.

    foreground: bool (frames, height, width), all False in a frame where nothing is found. counts: int (frames,), the
    number of objects, or None when they were not counted. indices: int (detection frames,), the frames in which the
    judge looked, if not in all; the others are all False and have the count 0.
    """

    foreground: np.ndarray
    counts: np.ndarray | None = None
    indices: np.ndarray | None = None

    def of(self, frames: np.ndarray) -> np.ndarray:
        """The entries of an array (frames, ...) in which the judge looked."""
        return frames if self.indices is None else frames[self.indices]


@dataclass(frozen=True)
class _Candidate:
    frame: int
    mask: np.ndarray
    margins: tuple[float, ...]
    """`similarity_margin` for every word."""


def detect(
    frames: np.ndarray,
    segmenter: SegmenterProtocol,
    scorer: ScorerProtocol,
    words: Sequence[str],
    distractors: Sequence[str] | None = None,
    config: JudgeConfig = JudgeConfig(),
    encodings: Sequence[Any] | None = None,
) -> Detections:
    """Find and count the object(s) in every frame.

    frames: uint8 (frames, height, width, 3). words: the objects to look for; with several, each gets its best candidate
    and the foreground is their union. distractors: words to compare with, the scorer's own list when None. encodings:
    `segmenter.encode` of the frames that `get_detection_frames` names, to save computing it again. Control masks are
    deliberately not an argument.

    A candidate beyond the best of its word counts as another object when it barely overlaps those already counted
    (`JudgeConfig.max_shared_area`) and its margin is close to the best one's (`JudgeConfig.max_similarity_gap`).
    """
    distractors = scorer.words if distractors is None else distractors
    indices = get_detection_frames(len(frames), config)
    foreground, counts = np.zeros(frames.shape[:3], bool), np.zeros(len(frames), int)
    per_frame: dict[int, list[_Candidate]] = {}
    looked_at = frames if indices is None else frames[indices]
    for candidate in _find_candidates(looked_at, segmenter, scorer, words, distractors, config, encodings):
        per_frame.setdefault(candidate.frame, []).append(candidate)
    for position, candidates in per_frame.items():
        index = position if indices is None else indices[position]
        objects: list[np.ndarray] = []
        for word in range(len(words)):
            ranked = sorted(candidates, key=lambda candidate: -candidate.margins[word])
            foreground[index] |= ranked[0].mask
            for candidate in ranked:
                close = candidate.margins[word] >= ranked[0].margins[word] - config.max_similarity_gap
                if close and not any(_overlap(candidate.mask, mask, config.max_shared_area) for mask in objects):
                    objects.append(candidate.mask)
        counts[index] = len(objects)
    return Detections(foreground, counts, indices)


def get_detection_frames(length: int, config: JudgeConfig) -> np.ndarray | None:
    """The frames of a video of `length` frames in which the judge looks for the object: int, or None if in all."""
    count = config.detection_frames
    return None if count is None or count >= length else space_evenly(length, count)


def space_evenly(length: int, count: int) -> np.ndarray:
    """`count` of `length` frames, evenly spaced, each in the middle of its part: int (count,)."""
    return ((np.arange(count) + 0.5) * length / count).astype(int)


def _find_candidates(
    frames: np.ndarray,
    segmenter: SegmenterProtocol,
    scorer: ScorerProtocol,
    words: Sequence[str],
    distractors: Sequence[str],
    config: JudgeConfig,
    encodings: Sequence[Any] | None,
) -> list[_Candidate]:
    """The automatic masks of a plausible size, each with its similarity to every word."""
    area = frames[0, ..., 0].size
    with start_task("find the object", 3) as advance:
        encodings = segmenter.encode(frames) if encodings is None else encodings
        advance()
        masks = [
            (index, candidate.mask)
            for index, encoding in enumerate(track(encodings, "segment frames"))
            for candidate in segmenter.automatic(encoding)
            if config.min_area <= candidate.mask.sum() / area <= config.max_area
        ]
        advance()
        if not masks:
            return []
        crops = np.stack([cut_out(frames[index], mask, config) for index, mask in masks])
        margins = np.stack([similarity_margin(crops, word, scorer, distractors) for word in words], axis=1)
    return [_Candidate(index, mask, tuple(row)) for (index, mask), row in zip(masks, margins, strict=True)]


def _overlap(mask: np.ndarray, other: np.ndarray, max_shared_area: float) -> bool:
    """Whether two candidates share more than a part `max_shared_area` of the smaller one."""
    return float((mask & other).sum()) > max_shared_area * min(mask.sum(), other.sum())


def find_foreground(
    frames: np.ndarray,
    segmenter: SegmenterProtocol,
    scorer: ScorerProtocol,
    words: Sequence[str],
    distractors: Sequence[str] | None = None,
    config: JudgeConfig = JudgeConfig(),
) -> np.ndarray:
    """The foreground of `detect` alone: bool (frames, height, width)."""
    return detect(frames, segmenter, scorer, words, distractors, config).foreground


def count_parts(masks: np.ndarray, min_area: float = JudgeConfig().min_area) -> np.ndarray:
    """How many separate parts every mask has: int (frames,). masks: bool (frames, height, width).

    min_area: share of the picture below which a part is ignored. Objects that touch count as one.
    """
    counts = []
    for mask in masks:
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        counts.append(int((stats[1:, cv2.CC_STAT_AREA] >= min_area * mask.size).sum()))
    return np.array(counts, int)


def count_accuracy(counts: np.ndarray, masks: np.ndarray) -> float:
    """Share of frames with as many objects as their control mask has parts. Range 0..1, higher is better.

    counts: int (frames,), from `detect`. masks: bool (frames, height, width). A frame whose mask is empty should show
    none. Our own: the paper claims control of the number of objects and prints no number for it.
    """
    return float((counts == count_parts(masks)).mean())


def consistency_foreground(
    frames: np.ndarray, foreground: np.ndarray, scorer: ScorerProtocol, config: JudgeConfig = JudgeConfig()
) -> float:
    """`appearance.consistency` of the detected object alone, cut out on grey. Range -1..1, higher is more alike.

    frames: uint8 (frames, height, width, 3). foreground: bool (frames, height, width). Frames without an object are
    left out; NaN when fewer than two have one. VBench's subject consistency asks the same with DINO on whole frames.
    """
    crops = [cut_out(frame, mask, config) for frame, mask in zip(frames, foreground, strict=True) if mask.any()]
    return consistency(scorer.images(np.stack(crops))) if len(crops) > 1 else float("nan")


def prompted_foreground(
    frames: np.ndarray, masks: np.ndarray, segmenter: SegmenterProtocol, encodings: Sequence[Any] | None = None
) -> np.ndarray:
    """What the segmenter finds when it is given the control mask's box, for `iou_prompted`: bool (frames, h, w).

    encodings: as in `detect`.
    """
    foreground = np.zeros(masks.shape, bool)
    for index, encoding in enumerate(segmenter.encode(frames) if encodings is None else encodings):
        if masks[index].any():
            box = np.array(bounding_box(masks[index]), float)
            candidates, scores = segmenter.predict(encoding, box=box)
            foreground[index] = candidates[int(np.argmax(scores))]
    return foreground


def iou_independent(frames: np.ndarray, masks: np.ndarray, segmenter: U2NetSegmenter, count: int) -> float:
    """Mean IoU of the salient area and the mask over `count` evenly spaced frames. Range 0..1, higher is better.

    frames: uint8 (frames, height, width, 3). masks: bool (frames, height, width). The area is everything that U-2-Net
    takes for salient with a probability above one half: several objects count together, as in the mask.
    """
    indices = space_evenly(len(frames), min(count, len(frames)))
    areas = np.stack([segmenter.infer(frame) > _SALIENT for frame in frames[indices]])
    return float(iou(areas, masks[indices]).mean())
