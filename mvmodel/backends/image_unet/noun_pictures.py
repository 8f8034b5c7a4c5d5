"""Pictures of nouns by a pack's own text-to-image model: what text to masks cuts its shapes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from mvmodel.authoring.config import TextToMasksConfig
from mvmodel.backends.image_unet.schedulers import build_scheduler
from mvmodel.text import with_article

if TYPE_CHECKING:
    from mvmodel.packs import Pack


def draw_noun_pictures(pack: Pack, nouns: Sequence[str], config: TextToMasksConfig) -> np.ndarray:
    """Draw `config.pictures_per_noun` pictures of each noun, on the backgrounds that the pack was trained on.

    Returns uint8 (nouns, pictures, side, side, 3).
    """
    pipeline = StableDiffusionPipeline(
        vae=pack.vae(),
        text_encoder=pack.text_encoder(),
        tokenizer=pack.tokenizer(),
        unet=pack.unet(),
        scheduler=build_scheduler(pack, "ddim"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline = pipeline.to(pack.device)
    pipeline.set_progress_bar_config(disable=True)
    backgrounds = list(getattr(pack.info, "backgrounds", {}).values()) or [""]
    numbers = range(config.pictures_per_noun)
    pictures = []
    for noun in nouns:
        images = pipeline(
            [f"{with_article(noun)} {backgrounds[n % len(backgrounds)]}".strip() for n in numbers],
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            generator=[torch.Generator().manual_seed(config.seed + n) for n in numbers],
            height=pack.info.resolution,
            width=pack.info.resolution,
            output_type="np",
        ).images
        pictures.append((np.clip(images, 0, 1) * 255).round().astype(np.uint8))
    return np.stack(pictures)
