"""Frame 1: a text-to-image model with ControlNet, conditioned on the prompt and on mask 1 (paper, Eq. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.generation.config import GenerationConfig


def control_frames(
    pack: Any,
    prompts: Sequence[str],
    masks: np.ndarray,
    seeds: Sequence[int],
    config: GenerationConfig,
    negative_prompts: Sequence[str] | None = None,
    device: str | None = None,
) -> np.ndarray:
    """Sample a first frame for every mask.

    masks: bool (n, height, width), True is foreground, shown to the ControlNet white on black. Returns uint8
    (n, height, width, 3). Raises InputError for an empty mask.
    """
    import torch
    from diffusers import StableDiffusionControlNetPipeline

    from mvmodel.generation.schedulers import build_scheduler

    for prompt, mask in zip(prompts, masks, strict=True):
        if not mask.any():
            raise InputError(f"the first mask of {prompt!r} is empty; frame 1 is made from it, so give it a foreground")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    pipeline = StableDiffusionControlNetPipeline(
        vae=pack.vae(),
        text_encoder=pack.text_encoder(),
        tokenizer=pack.tokenizer(),
        unet=pack.unet(),
        controlnet=pack.controlnet(),
        scheduler=build_scheduler(pack, config.scheduler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    control = torch.from_numpy(np.ascontiguousarray(masks)).to(pack.unet().dtype)[:, None].expand(-1, 3, -1, -1)
    out = pipeline(
        list(prompts),
        image=control.contiguous(),
        negative_prompt=list(negative_prompts) if negative_prompts else None,
        num_inference_steps=config.first_frame_steps,
        guidance_scale=config.first_frame_guidance,
        controlnet_conditioning_scale=config.control_scale,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        height=masks.shape[1],
        width=masks.shape[2],
        output_type="np",
    ).images
    pictures: np.ndarray = (np.clip(out, 0, 1) * 255).round().astype(np.uint8)
    return pictures
