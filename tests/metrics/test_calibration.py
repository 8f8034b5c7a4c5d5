"""The shipped judges on rendered ground truth: every metric's ceiling, and its floor on videos that are wrong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mvmodel.metrics.adherence import count_accuracy, detect, find_foreground, iou, iou_independent
from mvmodel.metrics.judge import judge_video
from mvmodel.metrics.score import METRICS
from mvmodel.segmentation.selection import load_independent_segmenter
from mvmodel.world.render import HELD_OUT, RenderedClip, random_clip

pytestmark = pytest.mark.slow


def rendered(number: int, motion: str = "glide", word: str = "car", facing: int = 1) -> RenderedClip:
    seed = (HELD_OUT, 700 + number, 9)
    return random_clip(seed, 8, motion=motion, objects=(word,), background="meadow", facing=facing, pan=0)


@pytest.fixture(scope="module")
def judge(tiny_pack):
    """`judge(frames, masks, prompt)` -> every metric, by the shipped segmenter and scorer."""

    def score(frames: np.ndarray, masks: np.ndarray, prompt: str) -> dict[str, float]:
        return judge_video(frames, masks, prompt, tiny_pack.scorer(), tiny_pack.segmenter()).metrics

    return score


@pytest.fixture(scope="module")
def truth() -> RenderedClip:
    return rendered(1)


@pytest.fixture(scope="module")
def ceiling(judge, truth) -> dict[str, float]:
    return judge(truth.frames, truth.masks, truth.caption)


def test_ceiling(ceiling):
    assert ceiling["iou"] > 0.85
    assert ceiling["iou_prompted"] > 0.85
    assert ceiling["consistency"] > 0.9
    assert ceiling["consistency_adjacent"] >= ceiling["consistency"]
    assert ceiling["motion"] > 2
    assert ceiling["motion_cosine"] > 0.9
    assert ceiling["colour_drift"] < 1.5
    assert ceiling["colour_drift_frame_2"] < 1.5
    assert ceiling["identity"] < 6
    assert ceiling["flicker"] < 1
    assert ceiling["area_ratio"] == pytest.approx(1, abs=0.15)
    assert ceiling["count_accuracy"] > 0.7
    assert ceiling["consistency_foreground"] > 0.8
    assert ceiling["consistency_background"] > 0.98
    assert ceiling["consistency_vbench"] > 0.9
    assert ceiling["warping_error"] < 0.002
    assert ceiling["smoothness"] > 0.97


def test_the_judge_finds_all_kinds_of_objects_in_all_kinds_of_places(tiny_pack):
    scores = []
    for number in range(12):
        clip = random_clip((HELD_OUT, 800 + number, 9), frames=2)
        foreground = find_foreground(clip.frames, tiny_pack.segmenter(), tiny_pack.scorer(), list(clip.objects))
        scores.append(iou(foreground, clip.masks).mean())
    assert np.mean(scores) > 0.8
    assert np.median(scores) > 0.85


def test_the_judge_counts_what_is_there(tiny_pack):
    """Two objects apart from each other are two, one is one; shown the wrong number, the accuracy falls."""
    accuracies, swapped = [], []
    for number in range(6):
        one = random_clip((HELD_OUT, 820 + number, 9), frames=2, objects=("car",), pan=0)
        two = random_clip((HELD_OUT, 840 + number, 9), frames=2, objects=("car", "duck"), pan=0)
        for clip, other_clip in ((one, two), (two, one)):
            counts = detect(clip.frames, tiny_pack.segmenter(), tiny_pack.scorer(), list(clip.objects)).counts
            accuracies.append(count_accuracy(counts, clip.masks))
            swapped.append(count_accuracy(counts, other_clip.masks))
    assert np.mean(accuracies) > 0.6
    assert np.mean(swapped) < np.mean(accuracies) - 0.3


def test_an_object_elsewhere_loses_iou_and_direction(judge, truth, ceiling):
    scores = judge(rendered(2, facing=-1).frames, truth.masks, truth.caption)
    assert scores["iou"] < ceiling["iou"] - 0.4
    assert scores["motion_cosine"] < 0
    assert scores["centroid_error"] > 5 * ceiling["centroid_error"]


def test_moving_the_control_mask_after_generation_lowers_iou_step_by_step(judge, truth):
    scores = [judge(truth.frames, np.roll(truth.masks, s, axis=1), truth.caption)["iou"] for s in (0, 8, 24)]
    assert scores[0] > scores[1] + 0.05
    assert scores[1] > scores[2] + 0.1


def test_another_object_and_a_swapped_prompt_lose_alignment(judge, truth, ceiling):
    swapped = judge(truth.frames, truth.masks, truth.caption.replace("car", "whale"))
    elsewhere = judge(truth.frames, truth.masks, "a car glides in space")
    elephant = judge(rendered(1, word="elephant").frames, truth.masks, truth.caption)
    for scores in (swapped, elsewhere, elephant):
        assert scores["alignment"] < ceiling["alignment"] - 0.05


def test_frozen_frames_are_consistent_but_still_and_lose_the_mask(judge, truth, ceiling):
    frozen = judge(np.repeat(truth.frames[:1], len(truth.frames), axis=0), truth.masks, truth.caption)
    assert frozen["consistency"] == pytest.approx(1, abs=1e-4)
    assert frozen["motion"] < 0.05
    assert frozen["iou"] < ceiling["iou"] - 0.3


def test_shuffled_frames_lose_iou_and_motion_but_not_all_pairs_consistency(judge, truth, ceiling):
    shuffled = judge(truth.frames[[0, 5, 2, 7, 1, 6, 3, 4]], truth.masks, truth.caption)
    assert shuffled["consistency"] == pytest.approx(ceiling["consistency"], abs=1e-4)
    assert shuffled["iou"] < ceiling["iou"] - 0.2
    assert shuffled["motion_cosine"] < ceiling["motion_cosine"] - 0.2


def test_a_change_of_object_halfway_loses_consistency(judge, truth, ceiling):
    mixed = np.concatenate([truth.frames[:4], rendered(1, word="elephant").frames[4:]])
    assert judge(mixed, truth.masks, truth.caption)["consistency"] < ceiling["consistency"] - 0.05


FLOORS = {
    "iou": ("elsewhere", -0.4),
    "iou_prompted": ("elsewhere", -0.4),
    "centroid_error": ("elsewhere", 0.1),
    "motion_cosine": ("elsewhere", -1.5),
    "alignment": ("another object", -0.3),
    "consistency": ("another halfway", -0.3),
    "consistency_adjacent": ("another halfway", -0.1),
    "consistency_first": ("another halfway", -0.3),
    "consistency_vbench": ("another halfway", -0.2),
    "consistency_foreground": ("another halfway", -0.3),
    "consistency_background": ("another halfway", -0.3),
    "motion": ("frozen", -5.0),
    "colour_drift": ("tinted", 5.0),
    "colour_drift_frame_2": ("flickering", 5.0),
    "identity": ("another halfway", 10.0),
    "flicker": ("flickering", 10.0),
    "warping_error": ("flickering", 0.01),
    "smoothness": ("flickering", -0.05),
    "area_ratio": ("larger masks", -0.3),
    "count_accuracy": ("masks of two", -0.4),
}
"""Metric -> the wrong video that it has to see, and by how much at least it moves from the ceiling."""


@pytest.fixture(scope="module")
def wrong_videos(judge, truth) -> dict[str, dict[str, float]]:
    """Metrics of videos that are wrong in one way each, against the masks and the prompt of the true one."""
    frames, masks = truth.frames, truth.masks
    times = np.arange(len(frames))[:, None, None, None]
    tinted = (frames + times * np.array([6.0, 0.0, -6.0])).clip(0, 255).astype(np.uint8)
    flickering = (frames * np.where(times % 2, 1.15, 0.9)).clip(0, 255).astype(np.uint8)
    another = random_clip((HELD_OUT, 705, 9), 8, motion="glide", objects=("elephant",), background="night", pan=0)
    two = random_clip((HELD_OUT, 840, 9), 8, motion="glide", objects=("car", "duck"), background="meadow", pan=0)
    larger = np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((13, 13))) > 0 for mask in masks])
    videos = {
        "elsewhere": (rendered(2, facing=-1).frames, masks),
        "another object": (rendered(1, word="elephant").frames, masks),
        "another halfway": (np.concatenate([frames[:4], another.frames[4:]]), masks),
        "frozen": (np.repeat(frames[:1], len(frames), axis=0), masks),
        "tinted": (tinted, masks),
        "flickering": (flickering, masks),
        "larger masks": (frames, larger),
        "masks of two": (frames, two.masks),
    }
    return {name: judge(video, control, truth.caption) for name, (video, control) in videos.items()}


def test_every_metric_has_a_floor():
    assert {*FLOORS, "iou_independent"} == set(METRICS)


def test_the_independent_judge_tells_the_true_video_from_one_elsewhere(truth, monkeypatch):
    monkeypatch.delenv("MVMODEL_U2NETP", raising=False)
    judge = load_independent_segmenter()
    if judge is None:
        pytest.skip("the wheel with U-2-Netp is not installed (make venv, Python 3.12 or older)")
    assert iou_independent(truth.frames, truth.masks, judge, 2) > 0.75
    assert iou_independent(rendered(2, facing=-1).frames, truth.masks, judge, 2) < 0.3


@pytest.mark.parametrize("metric", FLOORS)
def test_every_metric_sees_what_it_is_for(metric, ceiling, wrong_videos):
    name, least = FLOORS[metric]
    change = wrong_videos[name][metric] - ceiling[metric]
    assert change * np.sign(least) >= abs(least), f"{metric} of {name}: {change:+.4f}"
    better = METRICS[metric].better
    assert better == 0 or np.sign(least) == -better, "worse has to be the way that the metric says is worse"


def test_a_frozen_video_wins_what_motion_has_to_stand_beside(ceiling, wrong_videos):
    for metric in METRICS:
        if metric.startswith("consistency") or metric in ("smoothness", "flicker", "warping_error"):
            assert METRICS[metric].better * (wrong_videos["frozen"][metric] - ceiling[metric]) >= -1e-4, metric
