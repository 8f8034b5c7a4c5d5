"""Tests of sprites with limbs: their shape changes, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.masks.geometry import centroid, mask_iou
from mvmodel.world.articulation import GAITS, render_articulated_clips
from mvmodel.world.limbs import LIMBS, MARGIN, bend_sprite
from mvmodel.world.render import random_clip


@pytest.mark.parametrize("name", LIMBS)
def test_limbs_move_and_the_body_does_not(name: str) -> None:
    start, early, late = (bend_sprite(name, cycle)[..., 3] for cycle in (0.0, 0.25, 0.75))
    assert mask_iou(early > 0.5, late > 0.5) < 0.96
    assert np.array_equal(bend_sprite(name, 1.0)[..., 3].round(3), start.round(3))
    head = slice(MARGIN, MARGIN + 20)
    same = np.isclose(bend_sprite(name, 0.25)[head], bend_sprite(name, 0.75)[head], atol=1e-3).all(axis=-1)
    assert same.mean() > 0.85  # a raised wing may hide a part of it


def test_articulated_clips_depend_on_the_salt_alone() -> None:
    first, second, salted = (render_articulated_clips(2, salt, frames=3) for salt in (5, 5, 6))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0].frames, salted[0].frames)
    assert [clip.objects for clip in first] == [(name,) for name in list(GAITS)[:2]]
    assert [clip.motion for clip in first] == ["walk", "wing beat"]


def test_no_moved_copy_of_frame_1_fits_the_masks() -> None:
    """That is what the set is for: a cut-out of frame 1 that is only moved would follow a rigid object perfectly."""

    def overlap_of_moved_mask(masks: np.ndarray) -> float:
        scores = []
        for mask in masks[1:]:
            shift = np.round(np.subtract(centroid(mask), centroid(masks[0]))).astype(int)
            scores.append(mask_iou(np.roll(masks[0], shift[::-1], axis=(0, 1)), mask))
        return min(scores)

    rigid = random_clip((2, 1), frames=6, motion="glide", objects=("dog",), background="snow", pan=0.0)
    articulated = render_articulated_clips(4, frames=6)
    assert overlap_of_moved_mask(rigid.masks) > 0.95
    assert all(overlap_of_moved_mask(clip.masks) < 0.92 for clip in articulated)
