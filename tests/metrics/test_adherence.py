from __future__ import annotations

import inspect

import numpy as np
import pytest

from mvmodel.metrics import adherence
from mvmodel.text import find_object_words
from mvmodel.world.render import HELD_OUT, random_clip
from mvmodel.world.sprites import OBJECTS


def test_iou_by_hand():
    foreground, masks = np.zeros((3, 2, 2), bool), np.zeros((3, 2, 2), bool)
    foreground[0, 0] = masks[0, :, 0] = True  # one of three cells shared
    foreground[1, 0, 0] = True  # an empty mask
    assert adherence.iou(foreground, masks) == pytest.approx([1 / 3, 0, 1])


def test_the_judge_has_no_control_mask_among_its_arguments():
    for judge in (adherence.find_foreground, adherence.detect):
        assert "masks" not in inspect.signature(judge).parameters


def test_ceiling_the_right_object_is_found_whole(clip, exact_segmenter, scorer):
    foreground = adherence.find_foreground(clip.frames, exact_segmenter, scorer, ["car"])
    assert adherence.iou(foreground, clip.masks).mean() > 0.99
    assert adherence.centroid_error(foreground, clip.masks) < 0.005


def test_moving_the_control_mask_after_generation_lowers_the_score(clip, exact_segmenter, scorer):
    foreground = adherence.find_foreground(clip.frames, exact_segmenter, scorer, ["car"])
    scores = [adherence.iou(foreground, np.roll(clip.masks, shift, axis=2)).mean() for shift in (0, 8, 24, 64)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.99
    assert scores[-1] < 0.1


def test_floor_an_object_elsewhere(clip, elsewhere, exact_segmenter, scorer):
    foreground = adherence.find_foreground(elsewhere.frames, exact_segmenter, scorer, ["car"])
    assert adherence.iou(foreground, clip.masks).mean() < 0.35
    assert adherence.centroid_error(foreground, clip.masks) > 0.1


def test_the_judge_takes_the_object_that_was_asked_for(scorer, segmenter_of):
    two = random_clip((HELD_OUT, 21, 3), frames=4, motion="sway", objects=("car", "duck"), background="snow", pan=0)
    segmenter = segmenter_of(two)
    for number, word in enumerate(two.objects):
        foreground = adherence.find_foreground(two.frames, segmenter, scorer, [word])
        assert adherence.iou(foreground, two.instances[number]).mean() > 0.9, word
    union = adherence.find_foreground(two.frames, segmenter, scorer, list(two.objects))
    assert adherence.iou(union, two.masks).mean() > 0.9


def test_frozen_frames_lose_a_moving_mask(clip, exact_segmenter, scorer):
    frozen = np.repeat(clip.frames[:1], len(clip.frames), axis=0)
    foreground = adherence.find_foreground(frozen, exact_segmenter, scorer, ["car"])
    scores = adherence.iou(foreground, clip.masks)
    assert scores[0] > 0.99
    assert scores[-1] < 0.2


def test_a_frame_without_any_candidate_counts_zero(clip, scorer):
    class Blind:
        def encode(self, frames):
            return list(frames)

        def automatic(self, encoding):
            return []

    foreground = adherence.find_foreground(clip.frames, Blind(), scorer, ["car"])
    assert not foreground.any()
    assert adherence.iou(foreground, clip.masks).max() == 0
    assert np.isnan(adherence.centroid_error(foreground, clip.masks))


def test_iou_prompted_flatters_a_video_that_misses_its_mask(clip, elsewhere, exact_segmenter, scorer):
    prompted = adherence.prompted_foreground(elsewhere.frames, clip.masks, exact_segmenter)
    automatic = adherence.find_foreground(elsewhere.frames, exact_segmenter, scorer, ["car"])
    assert adherence.iou(prompted, clip.masks).mean() >= adherence.iou(automatic, clip.masks).mean() - 0.05
    prompted_on_target = adherence.prompted_foreground(clip.frames, clip.masks, exact_segmenter)
    assert adherence.iou(prompted_on_target, clip.masks).mean() > 0.99


def test_cut_out_is_square_centred_and_grey_around(clip):
    picture = adherence.cut_out(clip.frames[0], clip.masks[0])
    assert picture.shape == (96, 96, 3)
    assert (picture[:6] == adherence.GREY).all()
    assert (picture[40:56, 40:56] != adherence.GREY).any()


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a horse gallops over a meadow", ["horse"]),
        ("A cat and a dog, by the sea", ["cat", "dog"]),
        ("two buses at night", ["bus"]),
        ("a carpet in the snow", []),
        ("an apple. an apple!", ["apple"]),
    ],
)
def test_words_in_a_prompt(prompt, words):
    assert find_object_words(prompt, list(OBJECTS)) == words


def test_area_ratio_by_hand():
    foreground, masks = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    masks[:3, :2] = True
    foreground[0, :2] = foreground[1] = foreground[3] = True  # exact, twice too large, nothing, and an empty mask
    assert adherence.area_ratio(foreground, masks) == pytest.approx(1.0)
    assert adherence.area_ratio(foreground[1:2], masks[1:2]) == pytest.approx(2.0)
    assert np.isnan(adherence.area_ratio(foreground[3:], masks[3:]))


def test_area_ratio_ceiling_and_floors(clip, exact_segmenter, scorer):
    foreground = adherence.find_foreground(clip.frames, exact_segmenter, scorer, ["car"])
    assert adherence.area_ratio(foreground, clip.masks) == pytest.approx(1, abs=0.01)
    assert adherence.area_ratio(np.zeros_like(foreground), clip.masks) == 0
    assert adherence.area_ratio(np.ones_like(foreground), clip.masks) > 3


def test_count_parts_leaves_dust_out_and_joins_what_touches():
    masks = np.zeros((3, 64, 64), bool)
    masks[0, 4:20, 4:20] = masks[0, 40:60, 40:60] = masks[0, 30, 30] = True
    masks[1, 4:20, 4:20] = masks[1, 20:40, 20:40] = True
    assert adherence.count_parts(masks).tolist() == [2, 1, 0]


def test_the_judge_counts_objects_without_a_mask(clip, scorer, exact_segmenter, segmenter_of):
    two = random_clip((HELD_OUT, 21, 3), frames=4, motion="sway", objects=("car", "duck"), background="snow", pan=0)
    twins = random_clip((HELD_OUT, 22, 3), frames=4, motion="sway", objects=("car", "car"), background="snow", pan=0)
    one = adherence.detect(clip.frames, exact_segmenter, scorer, ["car"])
    pair = adherence.detect(two.frames, segmenter_of(two), scorer, ["car", "duck"])
    same = adherence.detect(twins.frames, segmenter_of(twins), scorer, ["car"])
    assert adherence.count_accuracy(one.counts, clip.masks) == 1
    assert adherence.count_accuracy(pair.counts, two.masks) == 1
    assert adherence.count_accuracy(same.counts, twins.masks) == 1
    assert adherence.count_accuracy(one.counts[:4], two.masks) == 0  # one object where there should be two
    assert adherence.count_accuracy(pair.counts, clip.masks[:4]) == 0
