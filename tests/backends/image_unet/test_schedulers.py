"""Solvers on a pack's own noise schedule."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.image_unet.schedulers import SCHEDULERS, build_scheduler
from mvmodel.errors import InputError


@pytest.mark.parametrize("name", [*SCHEDULERS, "LMSDiscreteScheduler"])
def test_every_solver_runs_the_pipeline_and_keeps_the_noise_schedule(small_pack, name):
    built = build_scheduler(small_pack, name)
    betas = small_pack.scheduler().betas
    torch.testing.assert_close(built.betas[: len(betas)].float(), betas, atol=1e-6, rtol=1e-5)
    pipeline = build_pipeline(small_pack, None, GenerationConfig(scheduler=name))
    masks, picture = np.ones((3, 64, 64), bool), np.zeros((64, 64, 3), np.uint8)
    frames = pipeline("a cat", masks, picture, num_inference_steps=3, generator=torch.Generator().manual_seed(0)).frames
    assert np.isfinite(frames).all() and frames[:, 1:].std() > 0
    repeated = pipeline(
        "a cat", masks, picture, num_inference_steps=3, generator=torch.Generator().manual_seed(0)
    ).frames
    assert np.array_equal(frames, repeated)


def test_names_and_classes_that_cannot_be_used_are_refused(small_pack, tiny_pack):
    with pytest.raises(InputError, match="there is no scheduler 'quick'"):
        build_scheduler(small_pack, "quick")
    with pytest.raises(InputError, match="there is no scheduler 'AutoencoderKL'"):
        build_scheduler(small_pack, "AutoencoderKL")
    with pytest.raises(InputError, match="does not predict epsilon"):
        build_scheduler(small_pack, "FlowMatchEulerDiscreteScheduler")
    assert tiny_pack.scheduler().config.rescale_betas_zero_snr
    with pytest.raises(InputError, match="cannot begin from pure noise"):
        build_scheduler(tiny_pack, "pndm")


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="leaves no new frame"):
        GenerationConfig(window=4, overlap=3)
    with pytest.raises(ValueError, match="reanchor moves the anchor"):
        GenerationConfig(anchor="window", reanchor=2)
    with pytest.raises(ValueError, match="has no effect"):
        GenerationConfig(mask_guidance=False, mask_guidance_scale=2.0)
