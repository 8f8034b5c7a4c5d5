"""`score_video`: every figure of one video that the given inputs allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.metrics import adherence, appearance, flow, stability
from mvmodel.text import find_object_words


@dataclass(frozen=True)
class Metric:
    """What a reader has to know about a figure. better: +1 higher, -1 lower, 0 neither."""

    label: str
    meaning: str
    better: int
    digits: int = 3


METRICS: dict[str, Metric] = {
    "iou": Metric("IoU", "overlap of the object found in the video with its control mask, mean over frames", 1),
    "consistency": Metric("Consistency", "mean cosine over all pairs of frames i < j", 1),
    "alignment": Metric("Alignment", "mean cosine of the frames with the prompt", 1),
    "motion": Metric("Motion, px", "mean optical flow in the foreground, pixels per frame", 0, 2),
    "motion_cosine": Metric("Motion cosine", "does the foreground's flow follow the mask's centre", 1),
    "colour_drift": Metric("Colour drift", "mean CIELAB distance to frame 1 outside the masks", -1, 2),
    "flicker": Metric("Flicker", "mean grey-level change where the flow is still, 0..255", -1, 2),
    "consistency_adjacent": Metric("Consistency, adjacent", "mean cosine of neighbouring frames", 1),
    "consistency_first": Metric("Consistency, first", "mean cosine of later frames with frame 1", 1),
    "iou_prompted": Metric("IoU, prompted", "as IoU, but the segmenter is given the control mask's box", 1),
    "consistency_vbench": Metric(
        "Consistency, previous and first", "VBench's mean of the cosines with the frame before and with frame 1", 1
    ),
    "consistency_foreground": Metric("Consistency, object", "all pairs, of the found object cut out on grey", 1),
    "consistency_background": Metric(
        "Consistency, background", "all pairs, with every place that the object ever covers painted grey", 1
    ),
    "warping_error": Metric(
        "Warping error", "squared colour change (0..1) along the flow where nothing is hidden", -1, 5
    ),
    "smoothness": Metric("Smoothness", "how well every second frame is foretold by its neighbours, 0..1", 1),
    "area_ratio": Metric("Area ratio", "found area over wanted area; 1 is exact", 0, 2),
    "count_accuracy": Metric("Count accuracy", "share of frames with as many objects as the mask has parts", 1, 2),
    "centroid_error": Metric("Centre error", "distance between found and wanted centre, share of the diagonal", -1),
}
"""Metric name -> what it is, in the order in which reports print them."""


def score_video(
    frames: np.ndarray,
    masks: np.ndarray | None = None,
    prompt: str | None = None,
    scorer: Any | None = None,
    segmenter: Any | None = None,
    object_word: str | Sequence[str] | None = None,
    foreground: np.ndarray | adherence.Detections | None = None,
    judge: adherence.JudgeConfig = adherence.JudgeConfig(),
    embeddings: np.ndarray | None = None,
) -> dict[str, float]:
    """Every metric in `METRICS` that the inputs allow; what cannot be computed is left out.

    frames: uint8 RGB (frames, height, width, 3). masks: control masks, bool (frames, height, width), or None.
    prompt, scorer (`Scorer`), segmenter (`Segmenter`): None leaves out what needs them. object_word: the object(s) to
    look for; None takes the scorer's words that the prompt names, else the prompt itself. foreground: what
    `adherence.detect` (or `find_foreground`, without a count) returned for these frames, to save looking again.
    embeddings: what `scorer.images` gave for them, (frames, size), to save embedding them again.

    motion is taken inside the found foreground where there is a segmenter, else inside the masks, else everywhere.
    Raises InputError when frames and masks do not fit each other.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise InputError(f"a video is uint8 (frames, height, width, 3), not {frames.dtype} {frames.shape}")
    if masks is not None and masks.shape != frames.shape[:3]:
        raise InputError(f"the masks {masks.shape} do not fit the video {frames.shape[:3]}; resize and cut them first")
    out: dict[str, float] = {}
    if foreground is None and segmenter is not None and scorer is not None and (prompt or object_word):
        foreground = adherence.detect(frames, segmenter, scorer, _words(prompt, object_word, scorer), config=judge)
    found = foreground.foreground if isinstance(foreground, adherence.Detections) else foreground
    if masks is not None and found is not None:
        out |= _against_mask(found, masks)
        if isinstance(foreground, adherence.Detections):
            out["count_accuracy"] = adherence.count_accuracy(foreground.counts, masks)
    if masks is not None and segmenter is not None:
        prompted = adherence.prompted_foreground(frames, masks, segmenter)
        out["iou_prompted"] = float(adherence.iou(prompted, masks).mean())
    if scorer is not None:
        embeddings = scorer.images(frames) if embeddings is None else embeddings
        if len(frames) > 1:
            out |= _consistencies(frames, embeddings, found, scorer, judge)
        if prompt:
            out["alignment"] = appearance.alignment(embeddings, scorer.texts([prompt])[0])
    if len(frames) > 1:
        inside = masks if found is None else found
        field = flow.flows(frames)
        out["motion"] = flow.motion(field, inside)
        out["flicker"] = flow.flicker(frames, field)
        out["colour_drift"] = appearance.colour_drift(frames, masks)
        out["warping_error"] = stability.warping_error(frames, field)
        out["smoothness"] = stability.smoothness(frames)
        if masks is not None and inside is not None:
            out["motion_cosine"] = flow.motion_cosine(field, masks, inside)
    return {name: out[name] for name in METRICS if name in out and math.isfinite(out[name])}


def _against_mask(found: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    return {
        "iou": float(adherence.iou(found, masks).mean()),
        "centroid_error": adherence.centroid_error(found, masks),
        "area_ratio": adherence.area_ratio(found, masks),
    }


def _consistencies(
    frames: np.ndarray, embeddings: np.ndarray, found: np.ndarray | None, scorer: Any, judge: adherence.JudgeConfig
) -> dict[str, float]:
    out = {
        "consistency": appearance.consistency(embeddings),
        "consistency_adjacent": appearance.consistency_adjacent(embeddings),
        "consistency_first": appearance.consistency_first(embeddings),
        "consistency_vbench": appearance.consistency_vbench(embeddings),
    }
    if found is None:
        return out
    out["consistency_foreground"] = adherence.consistency_foreground(frames, found, scorer, judge)
    out["consistency_background"] = appearance.consistency_background(frames, found, scorer)
    return out


def _words(prompt: str | None, object_word: str | Sequence[str] | None, scorer: Any) -> list[str]:
    if object_word:
        return [object_word] if isinstance(object_word, str) else list(object_word)
    named = find_object_words(prompt or "", scorer.words)
    return named or [prompt or ""]
