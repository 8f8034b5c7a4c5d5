"""The tints of frame 1's background are given back, and its object's are not."""

from __future__ import annotations

import numpy as np

from mvmodel.backends.image_unet.colour_fix import estimate_tint


def test_a_smooth_tint_is_recovered_and_details_are_not():
    rng = np.random.default_rng(0)
    frame = rng.random((64, 96, 3)).astype(np.float32)
    slope = np.linspace(0, 0.2, 96, dtype=np.float32)[None, :, None] * np.array([1, 0, -1], np.float32)
    details = 0.1 * rng.standard_normal((64, 96, 3)).astype(np.float32)
    mask = np.zeros((64, 96), bool)
    mask[20:40, 30:60] = True
    decoded = frame - slope - details
    decoded[mask] -= 5  # the object may differ as it likes
    tint = estimate_tint(frame, decoded, mask, "lowpass")
    assert np.abs(tint - slope)[:, 8:-8].max() < 0.08 and np.abs(tint - slope).mean() < 0.02
    mean = estimate_tint(frame, decoded, mask, "mean")
    assert np.ptp(mean, axis=(0, 1)).max() == 0 and np.allclose(mean[0, 0], slope[:, ~mask[0]].mean(), atol=0.12)
    assert not estimate_tint(frame, decoded, mask, "none").any()


def test_a_large_object_gets_the_mean_and_a_full_mask_nothing():
    frame, decoded = np.ones((128, 128, 3), np.float32), np.full((128, 128, 3), 0.9, np.float32)
    mask = np.ones((128, 128), bool)
    assert not estimate_tint(frame, decoded, mask, "lowpass").any()
    mask[:8] = False
    np.testing.assert_allclose(estimate_tint(frame, decoded, mask, "lowpass"), 0.1, atol=1e-4)
