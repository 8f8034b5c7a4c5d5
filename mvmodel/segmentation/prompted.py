"""Objects that a person points at: one frame's mask from clicks or a box, and that mask tracked through the clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mvmodel.errors import InputError
from mvmodel.segmentation.config import ExtractConfig
from mvmodel.segmentation.propagation import EncodedClip
from mvmodel.segmentation.protocols import SegmenterProtocol
from mvmodel.segmentation.saliency import Saliency
from mvmodel.segmentation.seeds import Seed
from mvmodel.segmentation.selection import NamedSegmenter, SegmenterChoice
from mvmodel.segmentation.tracking import track_from_seed
from mvmodel.video.frames import check_frames

_HIT = 0.5
"""Added to a mask's score for each point that it treats as asked."""


@dataclass(frozen=True)
class Prompt:
    """Where an object is in one frame.

    frame: index of the frame. points: float (points, 2), x and y in pixels. labels: int (points,), 1 for the object and
    0 for what is not part of it. box: float (4,), left, top, right, bottom in pixels, or None.
    """

    frame: int
    points: np.ndarray
    labels: np.ndarray
    box: np.ndarray | None = None


def segment_frame(frames: np.ndarray, segmenters: SegmenterChoice, prompt: Prompt) -> tuple[np.ndarray, str]:
    """The object that is pointed at, in the prompt's frame, and the name of the segmenter that found it.

    frames: uint8 RGB (frames, height, width, 3). Returns bool (height, width). Raises InputError if no segmenter finds
    anything there.
    """
    mask, _, candidate = _segment(frames, segmenters, prompt)
    return mask, candidate.name


def track_prompted(
    frames: np.ndarray,
    segmenters: SegmenterChoice,
    prompt: Prompt,
    progress: Callable[[int, int], None] | None = None,
    config: ExtractConfig = ExtractConfig(),
) -> tuple[np.ndarray, str]:
    """The object that is pointed at, in all frames: bool (frames, height, width), and the segmenter's name.

    progress: called with (frames done, all frames). Raises InputError as `segment_frame` does.
    """
    mask, score, candidate = _segment(frames, segmenters, prompt)
    if len(frames) == 1:
        return mask[None], candidate.name
    clip = EncodedClip(frames, candidate.load(), config)
    rows, columns = np.nonzero(mask)
    seed = Seed(prompt.frame, mask, score, score, (prompt.frame, float(columns.mean()), float(rows.mean())))
    counter = iter(range(2, 2 * len(frames)))
    report = (lambda: progress(min(next(counter), len(frames)), len(frames))) if progress else None
    masks, _ = track_from_seed(clip, Saliency(frames, config.saliency), seed, report)
    return masks, candidate.name


def _segment(
    frames: np.ndarray, segmenters: SegmenterChoice, prompt: Prompt
) -> tuple[np.ndarray, float, NamedSegmenter]:
    check_frames(frames)
    for candidate in segmenters.order(frames):
        best = _best_mask(frames[prompt.frame], candidate.load(), prompt)
        if best is not None:
            return *best, candidate
    raise InputError("no object was found there; click on its middle, or draw a box around it")


def _best_mask(frame: np.ndarray, segmenter: SegmenterProtocol, prompt: Prompt) -> tuple[np.ndarray, float] | None:
    """The mask that fits the prompt best, and its score; None if all are empty or miss the clicks."""
    (encoding,) = segmenter.encode(frame[None])
    points = prompt.points if len(prompt.points) else None
    labels = prompt.labels if len(prompt.points) else None
    masks, scores = segmenter.predict(encoding, points, labels, prompt.box)
    rated = []
    for mask, score in zip(masks, scores.tolist(), strict=True):
        if not mask.any():
            continue
        rows = prompt.points[:, 1].astype(int).clip(0, mask.shape[0] - 1)
        columns = prompt.points[:, 0].astype(int).clip(0, mask.shape[1] - 1)
        hits = int((mask[rows, columns] == (prompt.labels == 1)).sum())
        if hits or not len(prompt.points):
            rated.append((score + _HIT * hits, float(score), mask))
    if not rated:
        return None
    _, score, mask = max(rated, key=lambda entry: entry[0])
    return mask, score
