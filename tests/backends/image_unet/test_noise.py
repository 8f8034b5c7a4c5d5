"""Statistics of each sharing mode."""

from __future__ import annotations

import pytest
import torch

from mvmodel.backends.image_unet.noise import share_noise


@pytest.fixture
def noise_and_first():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 3, 4, 64, 64, generator=generator)
    first = torch.randn(1, 4, 64, 64, generator=generator) * 0.7 + 0.4
    return noise, first


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.5])
def test_paper_mode_is_equation_8(noise_and_first, alpha):
    noise, first = noise_and_first
    out = share_noise(noise, first, alpha, "paper")
    assert out.shape == (1, 2, 4, 64, 64)
    torch.testing.assert_close(out[0, 1], alpha * first[0] + (1 - alpha) * noise[0, 2])


def test_spread_and_common_part_of_each_mode(noise_and_first):
    noise, first = noise_and_first
    spread, common = {}, {}
    for mode in ("paper", "noise", "variance_preserving"):
        out = share_noise(noise, first, 0.2, mode)
        spread[mode] = float(out.std())
        a, b = (frame.flatten() - frame.mean() for frame in out[0])
        common[mode] = float((a * b).mean() / (a.std() * b.std()))
    assert spread["paper"] == pytest.approx((0.8**2 + 0.14**2) ** 0.5, abs=0.01)
    assert spread["noise"] == pytest.approx((0.8**2 + 0.2**2) ** 0.5, abs=0.01)
    assert spread["variance_preserving"] == pytest.approx(1.0, abs=0.01)
    assert common["noise"] == pytest.approx(0.04 / 0.68, abs=0.02)
    assert common["variance_preserving"] == pytest.approx(0.04, abs=0.02)


def test_unknown_mode_is_refused(noise_and_first):
    with pytest.raises(ValueError, match="use paper, noise or variance_preserving"):
        share_noise(*noise_and_first, 0.2, "other")  # type: ignore[arg-type]
