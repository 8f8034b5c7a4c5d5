"""The table of metrics, and the function that computes them from arrays. `judge.judge_video` is the way in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.metrics import adherence, appearance, flow, stability
from mvmodel.metrics.config import JudgeConfig

if TYPE_CHECKING:
    from mvmodel.metrics.protocols import ScorerProtocol
    from mvmodel.segmentation.protocols import SegmenterProtocol
    from mvmodel.segmentation.u2net import U2NetSegmenter


@dataclass(frozen=True)
class Metric:
    """What a reader has to know about a metric. better: +1 higher, -1 lower, 0 neither. digits: decimals to print."""

    label: str
    meaning: str
    better: int
    digits: int = 3


METRICS: dict[str, Metric] = {
    "iou": Metric("IoU", "overlap of the detected object with its control mask, mean over frames", 1),
    "iou_independent": Metric(
        "IoU, independent", "as IoU, but the object is found by U-2-Netp, which no part of a pack was trained with", 1
    ),
    "consistency": Metric("Consistency", "mean cosine over all pairs of frames i < j", 1),
    "alignment": Metric("Alignment", "mean cosine of the frames with the prompt", 1),
    "motion": Metric("Motion, px", "mean optical flow in the foreground, pixels per frame", 0, 2),
    "motion_cosine": Metric(
        "Motion cosine", "cosine of the foreground's mean flow and the velocity of the mask's centre", 1
    ),
    "colour_drift": Metric("Colour drift", "mean CIELAB distance to frame 1 outside the masks", -1, 2),
    "identity": Metric(
        "Identity", "mean CIELAB distance of the object to its look in frame 1, moved to fit the mask, inside it", -1, 1
    ),
    "flicker": Metric("Flicker", "mean grey-level change where the flow is still, 0..255", -1, 2),
    "colour_drift_frame_2": Metric("Colour drift, frame 2", "colour drift of frame 2 alone", -1, 2),
    "consistency_adjacent": Metric("Consistency, adjacent", "mean cosine of neighbouring frames", 1),
    "consistency_first": Metric("Consistency, first", "mean cosine of later frames with frame 1", 1),
    "iou_prompted": Metric("IoU, prompted", "as IoU, but the segmenter is given the control mask's box", 1),
    "consistency_vbench": Metric(
        "Consistency, previous and first", "VBench's mean of the cosines with the frame before and with frame 1", 1
    ),
    "consistency_foreground": Metric("Consistency, object", "all pairs, of the detected object cut out on grey", 1),
    "consistency_background": Metric(
        "Consistency, background", "all pairs, with every pixel that the object ever covers painted grey", 1
    ),
    "warping_error": Metric(
        "Warping error", "squared colour change (0..1) along the optical flow, without occlusions", -1, 5
    ),
    "smoothness": Metric("Smoothness", "how well every second frame is predicted from its neighbours, 0..1", 1),
    "area_ratio": Metric("Area ratio", "detected area over mask area; 1 is exact", 0, 2),
    "count_accuracy": Metric("Count accuracy", "share of frames with as many objects as the mask has parts", 1, 2),
    "centroid_error": Metric(
        "Centre error", "distance of the detected centre from the mask's, as a share of the diagonal", -1
    ),
}
"""Metric name -> description, in the order in which reports print them."""


def compute_metrics(
    frames: np.ndarray,
    masks: np.ndarray | None = None,
    prompt: str | None = None,
    scorer: ScorerProtocol | None = None,
    segmenter: SegmenterProtocol | None = None,
    detections: adherence.Detections | None = None,
    embeddings: np.ndarray | None = None,
    config: JudgeConfig = JudgeConfig(),
    independent: U2NetSegmenter | None = None,
    encodings: Sequence[Any] | None = None,
) -> dict[str, float]:
    """Every metric in `METRICS` that the inputs allow; what cannot be computed, or is not finite, is left out.

    frames: uint8 RGB (frames, height, width, 3). masks: control masks, bool (frames, height, width). detections: what
    `adherence.detect` found. embeddings: float (frames, size), `scorer.images(frames)`. segmenter: for `iou_prompted`.
    independent: for `iou_independent`. encodings: `segmenter.encode` of the frames in which the judge looked, to save
    computing it again.

    motion is taken inside the detected foreground if the judge looked in all frames, else inside the masks, else
    everywhere. Other metrics of the detected object are over the frames in which the judge looked.
    Raises InputError when frames and masks do not fit each other.
    """
    check_shapes(frames, masks)
    out: dict[str, float] = {}
    if masks is not None:
        out |= _adherence(frames, masks, detections, segmenter, encodings)
        if independent is not None and config.independent_frames:
            out["iou_independent"] = adherence.iou_independent(frames, masks, independent, config.independent_frames)
    if scorer is not None and embeddings is not None:
        if len(frames) > 1:
            out |= _consistencies(frames, embeddings, detections, scorer, config)
        if prompt:
            out["alignment"] = appearance.alignment(embeddings, scorer.texts([prompt])[0])
    if len(frames) > 1:
        foreground = detections.foreground if detections is not None and detections.indices is None else None
        out |= _motion(frames, masks, foreground)
    return {name: out[name] for name in METRICS if name in out and math.isfinite(out[name])}


def check_shapes(frames: np.ndarray, masks: np.ndarray | None = None) -> None:
    """Raises InputError unless frames are uint8 (frames, height, width, 3) and masks, if any, fit them."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise InputError(f"a video is uint8 (frames, height, width, 3), not {frames.dtype} {frames.shape}")
    if masks is not None and masks.shape != frames.shape[:3]:
        raise InputError(f"the masks {masks.shape} do not fit the video {frames.shape[:3]}; resize and cut them first")


def _adherence(
    frames: np.ndarray,
    masks: np.ndarray,
    detections: adherence.Detections | None,
    segmenter: SegmenterProtocol | None,
    encodings: Sequence[Any] | None,
) -> dict[str, float]:
    out: dict[str, float] = {}
    if detections is not None:
        frames, masks = detections.of(frames), detections.of(masks)
        foreground = detections.of(detections.foreground)
        out["iou"] = float(adherence.iou(foreground, masks).mean())
        out["centroid_error"] = adherence.centroid_error(foreground, masks)
        out["area_ratio"] = adherence.area_ratio(foreground, masks)
        if detections.counts is not None:
            out["count_accuracy"] = adherence.count_accuracy(detections.of(detections.counts), masks)
    if segmenter is not None:
        prompted = adherence.prompted_foreground(frames, masks, segmenter, encodings)
        out["iou_prompted"] = float(adherence.iou(prompted, masks).mean())
    return out


def _consistencies(
    frames: np.ndarray,
    embeddings: np.ndarray,
    detections: adherence.Detections | None,
    scorer: ScorerProtocol,
    config: JudgeConfig,
) -> dict[str, float]:
    out = {
        "consistency": appearance.consistency(embeddings),
        "consistency_adjacent": appearance.consistency_adjacent(embeddings),
        "consistency_first": appearance.consistency_first(embeddings),
        "consistency_vbench": appearance.consistency_vbench(embeddings),
    }
    if detections is not None:
        frames, foreground = detections.of(frames), detections.of(detections.foreground)
        out["consistency_foreground"] = adherence.consistency_foreground(frames, foreground, scorer, config)
        out["consistency_background"] = appearance.consistency_background(frames, foreground, scorer)
    return out


def _motion(frames: np.ndarray, masks: np.ndarray | None, foreground: np.ndarray | None) -> dict[str, float]:
    region = masks if foreground is None else foreground
    field = flow.flows(frames)
    out = {
        "motion": flow.motion(field, region),
        "flicker": flow.flicker(frames, field),
        "colour_drift": appearance.colour_drift(frames, masks),
        "colour_drift_frame_2": appearance.colour_drift_frame_2(frames, masks),
        "warping_error": stability.warping_error(frames, field),
        "smoothness": stability.smoothness(frames),
    }
    if masks is not None:
        out["identity"] = appearance.identity(frames, masks)
    if masks is not None and region is not None:
        out["motion_cosine"] = flow.motion_cosine(field, masks, region)
    return out
