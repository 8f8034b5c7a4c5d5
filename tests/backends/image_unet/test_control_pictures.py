"""What a ControlNet is shown of a mask."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.ade20k import COLORS, find_object_color, find_place_color
from mvmodel.backends.image_unet.control_pictures import draw_control_picture
from mvmodel.backends.image_unet.first_frame import generate_first_frames
from mvmodel.backends.instances import Instance
from mvmodel.errors import InputError
from mvmodel.packs.info import ControlKind

PROMPT = "a horse gallops over a meadow"


@pytest.fixture
def mask() -> np.ndarray:
    """A rectangle of 120 x 80 pixels in a picture of 320 x 160."""
    mask = np.zeros((160, 320), bool)
    mask[40:120, 100:220] = True
    return mask


def test_a_mask_is_white_on_black(mask):
    picture = draw_control_picture(mask, "mask")
    assert picture.dtype == np.uint8 and picture.shape == (160, 320, 3)
    assert np.array_equal(picture, np.repeat(mask[:, :, None] * np.uint8(255), 3, axis=2))


@pytest.mark.parametrize("kind", ["scribble", "softedge", "canny"])
def test_outlines_are_white_at_the_masks_edge_and_black_elsewhere(mask, kind: ControlKind):
    picture = draw_control_picture(mask, kind)
    assert (picture == picture[:, :, :1]).all()
    grey = picture[:, :, 0]
    assert grey[80, 98:102].max() >= 200 and grey[38:42, 160].max() >= 200
    assert grey[60:100, 120:200].max() == 0 and grey[:20].max() == 0
    if kind == "scribble":
        assert set(np.unique(grey)) == {0, 255}
    if kind == "canny":
        assert (grey[80] > 0).sum() == 2
    if kind == "softedge":
        assert len(np.unique(grey)) > 20


def test_a_scribble_is_wider_in_a_larger_picture(mask):
    larger = mask.repeat(4, axis=0).repeat(4, axis=1)
    widths = [(draw_control_picture(m, "scribble")[len(m) // 2, :, 0] > 0).sum() for m in (mask, larger)]
    assert widths[1] >= 2 * widths[0]


def test_the_pictures_border_is_no_outline():
    mask = np.zeros((64, 64), bool)
    mask[:, :32] = True
    for kind in ("scribble", "softedge"):
        assert draw_control_picture(mask, kind)[:, :16].max() == 0


def test_segmentation_has_the_colours_of_object_and_background(mask):
    picture = draw_control_picture(mask, "segmentation", PROMPT)
    assert (picture[mask] == COLORS["animal"]).all() and (picture[~mask] == COLORS["grass"]).all()
    unknown = draw_control_picture(mask, "segmentation", "a car drives at night")
    assert (unknown[mask] == COLORS["car"]).all() and (unknown[~mask] == 0).all()


def test_an_object_without_a_class_is_refused(mask):
    with pytest.raises(InputError, match="'a ghost floats' names none of the 150 classes.*scribble"):
        draw_control_picture(mask, "segmentation", "a ghost floats")


def test_several_objects_keep_their_outlines_and_colours(mask):
    left, right = mask.copy(), mask.copy()
    left[:, 160:], right[:, :160] = False, False
    instances = [Instance("a dog", left[None]), Instance("a car", right[None])]
    colours = draw_control_picture(mask, "segmentation", "a dog and a car", instances)
    assert (colours[left] == COLORS["animal"]).all() and (colours[right] == COLORS["car"]).all()
    assert draw_control_picture(mask, "scribble", "", instances)[80, 160].min() == 255
    assert draw_control_picture(mask, "scribble")[80, 160].max() == 0


@pytest.mark.parametrize(
    ("prompt", "object_class", "place_class"),
    [
        ("two dogs on a beach", "animal", "sand"),
        ("a light brown horse by the sea", "animal", "sea"),
        ("a woman rides a bike along a street", "person", "road"),
        ("a traffic light", "traffic light", None),
        ("buses", "bus", None),
        ("fog over the sea", None, "sea"),
    ],
)
def test_words_find_their_classes(prompt, object_class, place_class):
    assert len(COLORS) == 150
    assert find_object_color(prompt) == COLORS.get(object_class)
    assert find_place_color(prompt) == COLORS.get(place_class)


def test_first_frames_see_the_picture_that_the_settings_or_the_pack_name(small_pack):
    masks = np.zeros((1, 64, 64), bool)
    masks[:, 16:48, 16:48] = True
    for parameter in small_pack.controlnet().parameters():  # the output layers of a new ControlNet are zero
        torch.nn.init.normal_(parameter, std=0.05)

    def first_frame(control: ControlKind | None) -> np.ndarray:
        config = GenerationConfig(steps=1, first_frame_steps=1, control=control)
        return generate_first_frames(small_pack, [PROMPT], masks, [0], config)

    frames = {kind: first_frame(kind) for kind in get_args(ControlKind)}
    assert np.array_equal(first_frame(None), frames["mask"])
    assert len({frame.tobytes() for frame in frames.values()}) == len(frames)
    small_pack.info = small_pack.info.model_copy(update={"control": "canny"})
    assert np.array_equal(first_frame(None), frames["canny"])
    assert GenerationConfig().for_pack(small_pack.info).control == "canny"
    assert GenerationConfig(control="mask").for_pack(small_pack.info).control == "mask"
