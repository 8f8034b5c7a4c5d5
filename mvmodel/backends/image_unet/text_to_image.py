"""Pictures from text alone, by the pack's own text-to-image model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from mvmodel.backends.image_unet.noise import draw_noise
from mvmodel.backends.image_unet.schedulers import build_scheduler
from mvmodel.progress import report_steps, start_task
from mvmodel.video.tensors import to_uint8

if TYPE_CHECKING:
    from mvmodel.packs import Pack


def generate_images(
    pack: Pack, prompts: Sequence[str], seeds: Sequence[int], steps: int, guidance_scale: float
) -> np.ndarray:
    """Generate one picture a prompt with DDIM, all in one batch: uint8 (n, height, width, 3), of the pack's size."""
    pipeline = StableDiffusionPipeline(
        vae=pack.vae(),
        text_encoder=pack.text_encoder(),
        tokenizer=pack.tokenizer(),
        unet=pack.unet(),
        scheduler=build_scheduler(pack, "ddim"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(pack.device)
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    size, factor = pack.info.size, pack.latent_factor
    shape = (len(prompts), pack.unet().config.in_channels, size.height // factor, size.width // factor)
    with start_task("draw pictures", steps) as advance:
        images = pipeline(
            list(prompts),
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            generator=generators,
            latents=draw_noise(shape, generators, pack.device, pack.unet().dtype),
            height=size.height,
            width=size.width,
            output_type="np",
            callback_on_step_end=report_steps(advance),
        ).images
    return to_uint8(images)
