from __future__ import annotations

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.metrics.adherence import Detections, detect, iou, space_evenly
from mvmodel.metrics.config import JudgeConfig
from mvmodel.metrics.judge import compute_frame_metrics, judge_iou, judge_video
from mvmodel.metrics.score import METRICS
from mvmodel.segmentation.u2net import U2NetSegmenter


def test_everything_on_a_perfect_video(clip, scorer, exact_segmenter):
    scores = judge_video(clip.frames, clip.masks, "a car", scorer, exact_segmenter, "car").metrics
    assert list(scores) == [name for name in METRICS if name in scores]
    assert set(scores) == set(METRICS) - {"iou_independent"}
    assert scores["iou"] > 0.99
    assert scores["motion_cosine"] > 0.95
    assert all(isinstance(value, float) for value in scores.values())


def test_only_what_the_inputs_allow(clip, scorer):
    from_frames = {"motion", "flicker", "colour_drift", "colour_drift_frame_2", "warping_error", "smoothness"}
    assert set(judge_video(clip.frames).metrics) == from_frames
    assert set(judge_video(clip.frames, clip.masks).metrics) == from_frames | {"motion_cosine", "identity"}
    assert "alignment" not in judge_video(clip.frames, scorer=scorer).metrics
    assert set(judge_video(clip.frames[:1], scorer=scorer, prompt="a car").metrics) == {"alignment"}


def test_the_word_comes_from_the_prompt(clip, scorer, exact_segmenter):
    scores = judge_video(clip.frames, clip.masks, "a car", scorer, exact_segmenter).metrics
    assert scores["iou"] > 0.99


def test_a_given_foreground_is_used(clip, scorer, exact_segmenter):
    nothing = np.zeros_like(clip.masks)
    scores = judge_video(
        clip.frames, clip.masks, "a car", scorer, exact_segmenter, detections=Detections(nothing)
    ).metrics
    assert scores["iou"] == 0
    assert "motion" not in scores  # nothing was found, so nothing is said about its motion


def test_masks_of_another_size_are_refused(clip):
    with pytest.raises(InputError, match="do not fit"):
        judge_video(clip.frames, clip.masks[:, ::2, ::2])
    with pytest.raises(InputError, match="uint8"):
        judge_video(clip.frames.astype(float))


def test_foreground_and_background_are_told_apart(clip, scorer, exact_segmenter):
    day_scores = judge_video(clip.frames, clip.masks, "a car", scorer, exact_segmenter).metrics
    assert day_scores["consistency_foreground"] > 0.97
    assert day_scores["consistency_background"] > 0.999
    night = clip.frames.copy()
    dark = np.arange(len(night))[:, None, None] * np.ones(clip.masks.shape[1:], int) >= len(night) // 2
    night[dark & ~clip.masks] //= 4
    night_scores = judge_video(night, clip.masks, "a car", scorer, detections=Detections(clip.masks)).metrics
    assert night_scores["consistency_background"] < day_scores["consistency_background"] - 0.05
    assert night_scores["consistency_foreground"] == pytest.approx(day_scores["consistency_foreground"], abs=0.01)


def test_the_judgement_has_what_the_metrics_rest_on(clip, scorer, exact_segmenter):
    judgement = judge_video(clip.frames, clip.masks, "a car", scorer, exact_segmenter)
    expected = detect(clip.frames, exact_segmenter, scorer, ["car"])
    assert (judgement.detections.foreground == expected.foreground).all()
    assert (judgement.detections.counts == expected.counts).all()
    np.testing.assert_array_equal(judgement.embeddings, scorer.images(clip.frames))
    assert judgement.scorer == scorer.record
    without_models = judge_video(clip.frames, clip.masks)
    assert without_models.detections is None and without_models.embeddings is None and without_models.scorer == {}


def test_metrics_frame_by_frame_agree_with_those_of_the_video(clip, scorer, exact_segmenter):
    judgement = judge_video(clip.frames, clip.masks, "a car", scorer, exact_segmenter)
    frames = compute_frame_metrics(clip.frames, clip.masks, "a car", scorer, judgement)
    assert all(values.shape == (len(clip.frames),) for values in frames.values())
    assert frames["iou"].mean() == pytest.approx(judgement.metrics["iou"])
    assert frames["alignment"].mean() == pytest.approx(judgement.metrics["alignment"], abs=1e-6)
    assert frames["to_first"][0] == pytest.approx(1, abs=1e-6)
    assert frames["colour_drift"][1:].mean() == pytest.approx(judgement.metrics["colour_drift"])
    with pytest.raises(ValueError, match="without"):
        compute_frame_metrics(clip.frames, clip.masks, "a car", scorer, judge_video(clip.frames))


def test_the_judge_can_look_in_some_frames_and_says_so(clip, scorer, exact_segmenter):
    config = JudgeConfig(detection_frames=3)
    looked_at = space_evenly(len(clip.frames), 3)
    masks = clip.masks.copy()
    masks[looked_at] = np.roll(masks[looked_at], 8, axis=2)
    judgement = judge_video(clip.frames, masks, "a car", scorer, exact_segmenter, "car", config=config)
    expected = iou(detect(clip.frames, exact_segmenter, scorer, ["car"]).foreground, masks)[looked_at]
    assert judgement.metrics["iou"] == pytest.approx(expected.mean()) and expected.mean() < 0.95
    assert (judge_iou(clip.frames, masks, scorer, exact_segmenter, ["car"], config) == expected).all()
    assert judgement.detections.foreground.any(axis=(1, 2)).sum() == 3
    assert judgement.record == {"detection_frames": 3, **scorer.record}
    by_masks = judge_video(clip.frames, masks, "a car", scorer).metrics
    assert judgement.metrics["motion"] == by_masks["motion"]


def test_a_judge_that_looks_in_more_frames_than_there_are_looks_in_all(clip, scorer, exact_segmenter):
    many = JudgeConfig(detection_frames=len(clip.frames))
    arguments = (clip.frames, clip.masks, "a car", scorer, exact_segmenter)
    judgement, usual = judge_video(*arguments, config=many), judge_video(*arguments)
    assert judgement.metrics == usual.metrics and judgement.record == usual.record == scorer.record


def test_iou_alone_is_the_iou_of_the_judge(clip, scorer, exact_segmenter):
    shifted = np.roll(clip.masks, 8, axis=2)
    overlaps = judge_iou(clip.frames, shifted, scorer, exact_segmenter, ["car"])
    assert (overlaps == iou(detect(clip.frames, exact_segmenter, scorer, ["car"]).foreground, shifted)).all()
    assert overlaps.mean() < 0.95


def test_the_independent_judge_sees_frames_only_and_is_left_out_without_weights(clip):
    judge = BrightObjects(clip.masks, clip.frames)
    scores = judge_video(clip.frames, clip.masks, independent=judge).metrics
    assert scores["iou_independent"] == 1.0
    assert judge.runs == JudgeConfig().independent_frames
    moved = judge_video(clip.frames, np.roll(clip.masks, 30, axis=2), independent=judge).metrics
    assert moved["iou_independent"] < 0.5
    assert "iou_independent" not in judge_video(clip.frames, clip.masks).metrics
    off = judge_video(clip.frames, clip.masks, independent=judge, config=JudgeConfig(independent_frames=0)).metrics
    assert "iou_independent" not in off


class BrightObjects(U2NetSegmenter):
    """A network that knows the true masks of some frames."""

    def __init__(self, masks: np.ndarray, frames: np.ndarray) -> None:
        self.runs = 0
        self.masks = {frame.tobytes(): mask for frame, mask in zip(frames, masks, strict=True)}

    def infer(self, picture: np.ndarray) -> np.ndarray:
        self.runs += 1
        return self.masks[picture.tobytes()].astype(np.float32)
