"""Guides act on the clean latents, whatever the UNet predicts and however the scheduler scales its samples."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, UniPCMultistepScheduler

from mvmodel.backends.image_unet.clean_prediction import compute_signal_rate, guide_prediction


def predict(kind: str, clean: torch.Tensor, noise: torch.Tensor, rate: float) -> torch.Tensor:
    """What a perfect model predicts."""
    noise_rate = (1 - rate**2) ** 0.5
    return {"epsilon": noise, "v_prediction": rate * noise - noise_rate * clean, "sample": clean}[kind]


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_guided_prediction_is_that_of_the_guided_clean_latents(kind):
    clean, noise = torch.randn(2, 3, 4, 8, 8), torch.randn(2, 3, 4, 8, 8)
    target, rate = torch.randn(2, 3, 4, 8, 8), 0.6
    model_input = rate * clean + 0.8 * noise
    seen = []

    def guide(estimate, progress):
        seen.append((estimate, progress))
        return target

    out = guide_prediction(predict(kind, clean, noise, rate), model_input, rate, kind, [guide], 0.25)
    torch.testing.assert_close(seen[0][0], clean, atol=1e-5, rtol=1e-5)
    assert seen[0][1] == 0.25
    expected = predict(kind, target, (model_input - rate * target) / 0.8, rate)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    kept = guide_prediction(out.half(), model_input.half(), rate, kind, [lambda estimate, progress: estimate], 0.5)
    assert torch.equal(kept, out.half()), "a guide that changes nothing changes no bit"


SCHEDULERS = [DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler, EulerDiscreteScheduler]


@pytest.mark.parametrize("scheduler_class", SCHEDULERS)
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_guide_decides_the_result_under_every_kind_of_scheduler(scheduler_class, kind):
    """A model that knows nothing, and a guide that always says the same: the result is what the guide says."""
    options = {"clip_sample": False} if scheduler_class is DDIMScheduler else {}
    scheduler = scheduler_class(beta_schedule="scaled_linear", prediction_type=kind, **options)
    scheduler.set_timesteps(8)
    target = torch.randn(1, 2, 4, 4, 4)
    latents = torch.randn(1, 2, 4, 4, 4) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        model_input = scheduler.scale_model_input(latents, t)
        rate = compute_signal_rate(scheduler, t)
        out = guide_prediction(torch.zeros_like(latents), model_input, rate, kind, [lambda clean, progress: target], 0)
        latents = scheduler.step(out, t, latents).prev_sample
    torch.testing.assert_close(latents, target, atol=0.05, rtol=0.05)


def test_unknown_prediction_type_is_refused():
    zeros = torch.zeros(1, 1, 4, 2, 2)
    with pytest.raises(ValueError, match="use epsilon, v_prediction or sample"):
        guide_prediction(zeros, zeros, 0.5, "flow", [], 0)
