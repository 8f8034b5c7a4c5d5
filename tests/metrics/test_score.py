from __future__ import annotations

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.metrics import METRICS, score_video


def test_everything_on_a_perfect_video(clip, scorer, exact_segmenter):
    scores = score_video(clip.frames, clip.masks, "a car", scorer, exact_segmenter, "car")
    assert list(scores) == [name for name in METRICS if name in scores]
    assert set(scores) == set(METRICS)
    assert scores["iou"] > 0.99
    assert scores["motion_cosine"] > 0.95
    assert all(isinstance(value, float) for value in scores.values())


def test_only_what_the_inputs_allow(clip, scorer):
    alone = {"motion", "flicker", "colour_drift", "warping_error", "smoothness"}
    assert set(score_video(clip.frames)) == alone
    assert set(score_video(clip.frames, clip.masks)) == alone | {"motion_cosine"}
    assert "alignment" not in score_video(clip.frames, scorer=scorer)
    assert set(score_video(clip.frames[:1], scorer=scorer, prompt="a car")) == {"alignment"}


def test_the_word_comes_from_the_prompt(clip, scorer, exact_segmenter):
    named = score_video(clip.frames, clip.masks, "a car", scorer, exact_segmenter)
    assert named["iou"] > 0.99


def test_a_given_foreground_is_used(clip, scorer, exact_segmenter):
    nothing = np.zeros_like(clip.masks)
    scores = score_video(clip.frames, clip.masks, "a car", scorer, exact_segmenter, foreground=nothing)
    assert scores["iou"] == 0
    assert "motion" not in scores  # nothing was found, so nothing is said about its motion


def test_masks_of_another_size_are_refused(clip):
    with pytest.raises(InputError, match="do not fit"):
        score_video(clip.frames, clip.masks[:, ::2, ::2])
    with pytest.raises(InputError, match="uint8"):
        score_video(clip.frames.astype(float))


def test_foreground_and_background_are_told_apart(clip, scorer, exact_segmenter):
    plain = score_video(clip.frames, clip.masks, "a car", scorer, exact_segmenter)
    assert plain["consistency_foreground"] > 0.97
    assert plain["consistency_background"] > 0.999
    night = clip.frames.copy()
    dark = np.arange(len(night))[:, None, None] * np.ones(clip.masks.shape[1:], int) >= len(night) // 2
    night[dark & ~clip.masks] //= 4
    seen = score_video(night, clip.masks, "a car", scorer, foreground=clip.masks)
    assert seen["consistency_background"] < plain["consistency_background"] - 0.05
    assert seen["consistency_foreground"] == pytest.approx(plain["consistency_foreground"], abs=0.01)
