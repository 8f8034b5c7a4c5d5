"""The camera's motion in plain scenes, in which the object is most of what can be seen."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.motion.trajectory import estimate_camera_trajectory
from mvmodel.segmentation.camera_motion import count_votes, residuals
from mvmodel.world.render import HELD_OUT, random_clip

STILL = np.array([[1.0, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(("background", "pan"), [("meadow", 0.3), ("desert", -0.3), ("night", -0.3), ("forest", 0.0)])
def test_with_masks_an_object_is_not_taken_for_the_camera(background, pan):
    scene = {"motion": "glide", "objects": ("dog",), "background": background, "pan": pan}
    clip = random_clip((HELD_OUT, 3, 5), frames=12, **scene)
    travel = estimate_camera_trajectory(clip.frames, masks=clip.masks)[-1]
    np.testing.assert_allclose(travel, clip.camera, atol=0.03)


def test_cells_that_every_motion_explains_do_not_vote_once_the_background_is_known():
    source = np.zeros((40, 40), np.uint8)
    source[10:30:4, 4:12] = 200  # structure on the left alone, which moves to the right
    target = np.roll(source, 4, axis=1)
    source[15:25, 28:38], target[15:25, 28:38] = 90, 90  # an object that the camera follows
    background = np.ones((40, 40), bool)
    background[13:27, 26:40] = False
    shifts = [STILL, np.array([[1.0, 0, 4], [0, 1, 0]])]
    votes = count_votes(residuals(source, target, shifts, background), background)
    assert votes[0] == 0 < votes[1]
    blind = count_votes(residuals(source, target, shifts))
    assert blind[0] > 0


def test_without_any_background_the_camera_stands_still():
    frames = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    assert not estimate_camera_trajectory(frames, masks=np.ones((3, 32, 32), bool)).any()
