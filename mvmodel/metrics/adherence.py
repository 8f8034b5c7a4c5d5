"""Adherence: does the object fill its control mask.

The judge is independent. It looks for the foreground in the finished frames with automatic masks, and picks the
candidate that the scorer ties best to the object's word; the control mask is not among its arguments. Moving the
control mask after generation therefore lowers the score. `iou_prompted` does give the mask's box to the segmenter,
which flatters whatever lies inside, and is printed beside `iou`, never instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from mvmodel.config import Config
from mvmodel.metrics.appearance import GREY, consistency
from mvmodel.text import with_article


class JudgeConfig(Config):
    """How the judge tells the object from the other things that the segmenter finds."""

    smallest: float = Field(0.004, ge=0, le=1)
    """Share of the picture under which a candidate is dust."""
    largest: float = Field(0.6, ge=0, le=1)
    """Share of the picture above which a candidate is ground or sky."""
    margin: float = Field(0.2, ge=0)
    """Ground left around a candidate's box, as a share of the box's longer side."""
    side: int = Field(96, ge=16)
    """Pictures shown to the scorer are squares of this many pixels."""
    apart: float = Field(0.2, ge=0, le=1)
    """Share of the smaller of two candidates that they may have in common and still be two objects."""
    second: float = Field(0.1, ge=0)
    """How much weaker than a word's best candidate another may be tied to the word and still count, in cosine."""


def iou(found: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """|found and mask| / |found or mask| of every frame: float (frames,), 0..1, higher is better.

    found, masks: bool (frames, height, width). Both empty counts 1, one empty counts 0. The mean over frames is the
    paper's "IoU of foreground against the control mask"; how its authors found the foreground they do not say.
    """
    both = (found & masks).sum(axis=(1, 2))
    either = (found | masks).sum(axis=(1, 2))
    return np.where(either == 0, 1.0, both / np.maximum(either, 1))


def centroid_error(found: np.ndarray, masks: np.ndarray) -> float:
    """Mean over frames of |centre of found - centre of mask| / picture's diagonal. Range 0..1, lower is better.

    found, masks: bool (frames, height, width). 0 is exact. Frames in which either is empty are left out; NaN when all
    are. Peekaboo's centroid distance, with the mean of coordinates for a centre.
    """
    from mvmodel.metrics.flow import centroids

    distance = np.linalg.norm(centroids(found) - centroids(masks), axis=1) / np.hypot(*masks.shape[1:])
    return float(np.nanmean(distance)) if np.isfinite(distance).any() else float("nan")


def area_ratio(found: np.ndarray, masks: np.ndarray) -> float:
    """Mean over frames of found area / wanted area. Range 0 upwards: 1 is exact, above is too large, 0 nothing found.

    found, masks: bool (frames, height, width). Frames with an empty mask are left out; NaN when all are. Peekaboo
    reports the distance of this ratio from 1; the ratio itself keeps which way it errs.
    """
    wanted = masks.sum(axis=(1, 2))
    asked = wanted > 0
    return float((found.sum(axis=(1, 2))[asked] / wanted[asked]).mean()) if asked.any() else float("nan")


def cut_out(frame: np.ndarray, mask: np.ndarray, config: JudgeConfig = JudgeConfig()) -> np.ndarray:
    """A candidate alone on grey ground, cropped to its box with a margin: uint8 (side, side, 3).

    frame: uint8 (height, width, 3). mask: bool (height, width), not empty.
    """
    import cv2

    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    side = int(np.ceil(max(bottom - top, right - left) * (1 + 2 * config.margin)))
    square = np.full((side, side, 3), GREY, np.uint8)
    y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
    inside = mask[top:bottom, left:right]
    square[y : y + bottom - top, x : x + right - left][inside] = frame[top:bottom, left:right][inside]
    shrink = side > config.side
    out: np.ndarray = cv2.resize(
        square, (config.side, config.side), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    )
    return out


def similarity_margin(pictures: np.ndarray, word: str, scorer: Any, distractors: Sequence[str] = ()) -> np.ndarray:
    """How much more a picture is "a {word}" than the mean of the rival words: float (pictures,), -2..2.

    pictures: uint8 (pictures, side, side, 3).
    """
    embeddings = scorer.images(pictures)
    wanted = embeddings @ scorer.texts([with_article(word)])[0]
    others = [with_article(distractor) for distractor in distractors if distractor != word]
    if not others:
        return np.asarray(wanted)
    return np.asarray(wanted - (embeddings @ scorer.texts(others).T).mean(axis=1))


def chooser(
    frame: np.ndarray, word: str, scorer: Any, distractors: Sequence[str] = (), config: JudgeConfig = JudgeConfig()
) -> Callable[[list[np.ndarray]], int]:
    """A function that picks, among candidate masks of `frame`, the one most like `word`."""

    def choose(masks: list[np.ndarray]) -> int:
        return int(
            np.argmax(
                similarity_margin(np.stack([cut_out(frame, mask, config) for mask in masks]), word, scorer, distractors)
            )
        )

    return choose


@dataclass(frozen=True)
class Detections:
    """What the judge saw. foreground: bool (frames, height, width). counts: int (frames,), how many objects it is."""

    foreground: np.ndarray
    counts: np.ndarray


def detect(
    frames: np.ndarray,
    segmenter: Any,
    scorer: Any,
    words: Sequence[str],
    distractors: Sequence[str] | None = None,
    config: JudgeConfig = JudgeConfig(),
) -> Detections:
    """Where the judge sees the object(s), and how many: all False and 0 in a frame where nothing is found.

    frames: uint8 (frames, height, width, 3). segmenter: a `Segmenter`. scorer: a `Scorer`. words: the objects to look
    for; with several, each gets its best candidate and the union is returned. rivals: words to compare with, the
    scorer's own list when None. Control masks are deliberately not an argument.

    An object counts beside the best candidate of its word when it lies apart from what is counted already and the
    scorer ties it to the word about as well (`JudgeConfig.apart`, `JudgeConfig.second`).
    """
    distractors = scorer.words if distractors is None else distractors
    found, counts = np.zeros(frames.shape[:3], bool), np.zeros(len(frames), int)
    area = found[0].size
    pictures, owners, masks = [], [], []
    for index, encoding in enumerate(segmenter.encode(frames)):
        for candidate in segmenter.automatic(encoding):
            if config.smallest <= candidate.mask.sum() / area <= config.largest:
                pictures.append(cut_out(frames[index], candidate.mask, config))
                owners.append(index)
                masks.append(candidate.mask)
    if not pictures:
        return Detections(found, counts)
    shown = np.stack(pictures)
    scores = [similarity_margin(shown, word, scorer, distractors) for word in words]
    counted: list[list[np.ndarray]] = [[] for _ in frames]
    for index in sorted(set(owners)):
        own = [position for position, owner in enumerate(owners) if owner == index]
        for score in scores:
            best = max(own, key=lambda position: score[position])
            found[index] |= masks[best]
            for position in sorted(own, key=lambda position: -score[position]):
                alike = score[position] >= score[best] - config.second
                if alike and all(_apart(masks[position], other, config.apart) for other in counted[index]):
                    counted[index].append(masks[position])
        counts[index] = len(counted[index])
    return Detections(found, counts)


def _apart(mask: np.ndarray, other: np.ndarray, most: float) -> bool:
    """Whether two candidates share at most the share `most` of the smaller one."""
    return float((mask & other).sum()) <= most * min(mask.sum(), other.sum())


def find_foreground(
    frames: np.ndarray,
    segmenter: Any,
    scorer: Any,
    words: Sequence[str],
    distractors: Sequence[str] | None = None,
    config: JudgeConfig = JudgeConfig(),
) -> np.ndarray:
    """`look`, the places alone: bool (frames, height, width)."""
    return detect(frames, segmenter, scorer, words, distractors, config).foreground


def count_parts(masks: np.ndarray, smallest: float = JudgeConfig().smallest) -> np.ndarray:
    """How many separate parts every mask has: int (frames,). masks: bool (frames, height, width).

    smallest: share of the picture under which a part is dust. Objects that touch count as one.
    """
    import cv2

    counts = []
    for mask in masks:
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        counts.append(int((stats[1:, cv2.CC_STAT_AREA] >= smallest * mask.size).sum()))
    return np.array(counts, int)


def count_accuracy(counts: np.ndarray, masks: np.ndarray) -> float:
    """Share of frames with as many objects as their control mask has parts. Range 0..1, higher is better.

    counts: int (frames,), from `look`. masks: bool (frames, height, width). A frame whose mask is empty wants none. Our
    own: the paper claims control of the number of objects and prints no figure for it.
    """
    return float((counts == count_parts(masks)).mean())


def consistency_foreground(
    frames: np.ndarray, found: np.ndarray, scorer: Any, config: JudgeConfig = JudgeConfig()
) -> float:
    """`appearance.consistency` of the found object alone, cut out on grey. Range -1..1, higher is more alike.

    frames: uint8 (frames, height, width, 3). found: bool (frames, height, width). Frames without an object are left
    out; NaN when fewer than two have one. VBench's subject consistency asks the same with DINO on whole frames.
    """
    shown = [cut_out(frame, mask, config) for frame, mask in zip(frames, found, strict=True) if mask.any()]
    return consistency(scorer.images(np.stack(shown))) if len(shown) > 1 else float("nan")


def prompted_foreground(frames: np.ndarray, masks: np.ndarray, segmenter: Any) -> np.ndarray:
    """What the segmenter finds when it is given the control mask's box, for `iou_prompted`: bool (frames, h, w)."""
    found = np.zeros(masks.shape, bool)
    for index, encoding in enumerate(segmenter.encode(frames)):
        rows, columns = np.nonzero(masks[index])
        if len(rows):
            box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
            candidates, scores = segmenter.predict(encoding, box=box)
            found[index] = candidates[int(np.argmax(scores))]
    return found
