from __future__ import annotations

import numpy as np
import pytest

from mvmodel.masks.geometry import centroids
from mvmodel.metrics import flow


@pytest.fixture(scope="module")
def true_flow(clip):
    return flow.flows(clip.frames)


def test_motion_is_the_speed_of_the_object_in_pixels(clip, true_flow):
    speed = np.linalg.norm(np.diff(centroids(clip.masks), axis=0), axis=1).mean()
    assert speed > 4
    assert flow.motion(true_flow, clip.masks) == pytest.approx(speed, rel=0.2)


def test_a_frozen_video_does_not_move(clip):
    frozen = np.repeat(clip.frames[:1], 4, axis=0)
    no_flow = flow.flows(frozen)
    assert flow.motion(no_flow, clip.masks[:4]) < 0.05
    assert flow.flicker(frozen, no_flow) == 0


def test_the_background_of_a_still_camera_does_not_move(clip, true_flow):
    far = ~np.broadcast_to(clip.masks.any(axis=0), clip.masks.shape)
    still_pixels = flow.find_still_pixels(clip.frames, true_flow)
    assert still_pixels[far[:-1]].mean() > 0.95
    assert still_pixels[clip.masks[:-1]].mean() < 0.4


def test_motion_cosine_ceiling_and_floor(clip, elsewhere, true_flow):
    assert flow.motion_cosine(true_flow, clip.masks, clip.masks) > 0.95
    assert flow.motion_cosine(flow.flows(elsewhere.frames), clip.masks, elsewhere.masks) < -0.9


def test_shuffled_frames_lose_the_motion(clip, true_flow):
    order = [0, 5, 1, 7, 3, 9, 2, 6, 4, 8]
    shuffled = flow.flows(clip.frames[order])
    assert flow.motion_cosine(shuffled, clip.masks, clip.masks[order]) < 0.6


def test_motion_cosine_needs_masks_that_move(clip, true_flow):
    standing = np.repeat(clip.masks[:1], len(clip.masks), axis=0)
    assert np.isnan(flow.motion_cosine(true_flow, standing, clip.masks))


def test_flicker_sees_noise_and_its_size(clip, true_flow):
    assert flow.flicker(clip.frames, true_flow) < 0.5
    rng = np.random.default_rng(0)
    blink = np.clip(clip.frames.astype(int) + rng.choice([-9, 9], (len(clip.frames), 1, 1, 1)), 0, 255).astype(np.uint8)
    far = ~clip.masks.any(axis=0)
    expected = np.abs(np.diff(blink.astype(int), axis=0))[:, far].mean()
    assert flow.flicker(blink, flow.flows(blink)) == pytest.approx(expected, rel=0.25)


def test_no_foreground_no_motion(clip, true_flow):
    assert np.isnan(flow.motion(true_flow, np.zeros_like(clip.masks)))
    assert np.isnan(centroids(np.zeros((2, 4, 4), bool))).all()
