"""Masks of one shape fitted into another."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.fit import describe_fit, fit_masks
from mvmodel.masks.geometry import bounding_box
from mvmodel.picture_size import PictureSize

WIDE, SQUARE = PictureSize(96, 64), PictureSize(64, 64)


def _square(left: int, shape: tuple[int, int] = (72, 128), side: int = 18, steps: int = 3) -> MaskSequence:
    """A square that moves a little to the right of `left`."""
    masks = np.zeros((3, *shape), bool)
    for index in range(3):
        masks[index, 20 : 20 + side, left + steps * index : left + steps * index + side] = True
    return MaskSequence(masks, 12.0)


@pytest.mark.parametrize("left", [0, 50, 103])
def test_crop_holds_the_foreground(left: int) -> None:
    fitted = fit_masks(_square(left), SQUARE)
    assert fitted.masks.shape == (3, 64, 64) and fitted.fps == 12.0
    assert all(abs(mask.sum() - 16 * 16) <= 16 for mask in fitted.masks), "whole, and as large as the height says"
    assert ("in the middle" in describe_fit(_square(left), SQUARE)) == (left == 50)


def test_crop_scales_a_foreground_down_that_is_too_wide() -> None:
    sequence = _square(0, steps=50)
    fitted = fit_masks(sequence, SQUARE)
    boxes = [bounding_box(mask) for mask in fitted.masks]
    sides = {(right - left, bottom - top) for left, top, right, bottom in boxes}
    assert max(right for _, _, right, _ in boxes) == 64 and min(left for left, *_ in boxes) == 0
    assert max(abs(width - height) for width, height in sides) <= 1, "a square stays a square"


def test_pad_and_stretch() -> None:
    padded, stretched = fit_masks(_square(50), SQUARE, "pad"), fit_masks(_square(50), SQUARE, "stretch")
    left, top, right, bottom = bounding_box(padded.masks[0])
    assert (right - left, bottom - top) == (9, 9) and top == 14 + 10
    left, top, right, bottom = bounding_box(stretched.masks[0])
    assert (right - left, bottom - top) == (9, 16)
    assert "by padding" in describe_fit(_square(50), SQUARE, "pad")
    assert "by stretching" in describe_fit(_square(50), SQUARE, "stretch")


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_one_shape_is_only_scaled(fit: str) -> None:
    sequence = _square(10, (32, 48), side=8)
    assert fit_masks(sequence, PictureSize(48, 32), fit) is sequence
    assert np.array_equal(fit_masks(sequence, WIDE, fit).masks.nonzero()[0], np.repeat([0, 1, 2], 256))
    assert describe_fit(sequence, WIDE, fit) == ""


def test_objects_are_fitted_together() -> None:
    instances = np.stack([_square(80).masks, _square(100).masks])
    fitted = fit_masks(MaskSequence.from_instances(instances, 8, ("dog", "cat")), SQUARE)
    assert fitted.names == ("dog", "cat") and fitted.instances is not None
    assert all(abs(mask.sum() - 256) <= 16 for mask in fitted.instances[:, 0])


def test_nothing_is_lost_without_a_word() -> None:
    masks = np.zeros((2, 512, 512), bool)
    masks[:, 100, 100] = True
    with pytest.raises(InputError, match="foreground of 512x512 masks is too small to be seen at 64x32"):
        fit_masks(MaskSequence(masks), PictureSize(64, 32), "pad")
