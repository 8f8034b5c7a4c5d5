from __future__ import annotations

import numpy as np
import pytest

from mvmodel.metrics import flow, stability


def drifting(frames: int = 5, step: int = 3) -> np.ndarray:
    """A smooth random picture that moves `step` pixels a frame to the right: uint8 (frames, 96, 96, 3)."""
    import cv2

    wide = np.random.default_rng(0).random((96, 160, 3)).astype(np.float32)
    wide = cv2.normalize(cv2.GaussianBlur(wide, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.stack([wide[:, 40 - step * i : 136 - step * i] for i in range(frames)])


def test_warping_follows_the_flow():
    video = drifting()
    constant = np.zeros((96, 96, 2), np.float32)
    constant[..., 0] = 3
    warped = flow.warp(video[1], constant)
    assert np.abs(warped[:, :90] - video[0][:, :90]).max() == 0


def test_comparable_leaves_out_what_gets_covered_and_edges_of_motion():
    forward, backward = np.zeros((64, 64, 2), np.float32), np.zeros((64, 64, 2), np.float32)
    forward[20:40, 10:30, 0] = 12  # a square goes 12 pixels to the right over a ground that stands
    backward[20:40, 22:42, 0] = -12
    visible = stability.find_comparable_pixels(forward, backward)
    assert visible[24:36, 14:26].all()  # inside the square
    assert not visible[24:36, 33:40].any()  # the ground that it covers next
    assert not visible[20:40, 29].any()  # its edge
    assert visible[50:].all()


def test_warping_error_ceiling_and_floors(clip):
    truth = stability.warping_error(clip.frames)
    noise = np.random.default_rng(1).normal(0, 12, clip.frames.shape)
    noisy = np.clip(clip.frames + noise, 0, 255).astype(np.uint8)
    shuffled = clip.frames[[0, 5, 1, 7, 3, 9, 2, 6, 4, 8]]
    fading = np.clip(clip.frames * np.linspace(1, 0.5, len(clip.frames))[:, None, None, None], 0, 255).astype(np.uint8)
    assert truth < 0.001
    assert stability.warping_error(drifting()) < 0.0005
    for video in (noisy, fading):
        assert stability.warping_error(video) > 2 * truth
    assert stability.warping_error(shuffled) > truth
    assert stability.warping_error(np.repeat(clip.frames[:1], 4, axis=0)) == 0


def test_warping_error_is_the_noise_s_variance_on_a_still_picture():
    grey = np.full((6, 64, 64, 3), 128, np.uint8)
    noisy = (grey + np.random.default_rng(2).integers(-4, 5, (6, 1, 1, 1))).astype(np.uint8)  # no texture, no flow
    expected = np.mean((np.diff(noisy[:, 0, 0, 0].astype(float)) / 255) ** 2)
    assert stability.warping_error(noisy) == pytest.approx(expected, rel=0.05)


def test_smoothness_ceiling_and_floors(clip):
    even = drifting()
    jerky = even[[0, 3, 1, 4, 2]]
    assert stability.smoothness(np.repeat(clip.frames[:1], 5, axis=0)) == pytest.approx(1)
    assert stability.smoothness(even) > 0.985
    assert stability.smoothness(jerky) < stability.smoothness(even) - 0.01
    assert stability.smoothness(clip.frames) > stability.smoothness(clip.frames[[0, 5, 1, 7, 3, 9, 2, 6, 4, 8]])


def test_too_short_videos_are_not_a_number():
    assert np.isnan(stability.smoothness(drifting()[:2]))
    assert np.isnan(stability.warping_error(drifting()[:1]))
