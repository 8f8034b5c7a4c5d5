"""Pipelines from packs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mvmodel.backends.generation_config import GENERIC_SAMPLING, GenerationConfig


def build_pipeline(pack: Any, adapter: Path | None, config: GenerationConfig, device: str | None = None) -> Any:
    """A `MaskVideoPipeline` of `pack` with the adapter in folder `adapter` (None: the base model alone)."""
    from mvmodel.backends.image_unet.pipeline import MaskVideoPipeline
    from mvmodel.backends.image_unet.schedulers import build_scheduler
    from mvmodel.model.saving import load_adapter

    config = config.for_pack(pack.info)
    unet = pack.unet()
    loaded = None
    if adapter is not None:
        loaded = load_adapter(Path(adapter), unet.dtype)
        loaded.check_fits(unet)
    pipeline = MaskVideoPipeline(
        vae=pack.vae(),
        text_encoder=pack.text_encoder(),
        tokenizer=pack.tokenizer(),
        unet=unet,
        scheduler=build_scheduler(pack, config.scheduler),
        adapter=loaded,
        default_guidance_scale=config.guidance_scale or GENERIC_SAMPLING["guidance_scale"],
        default_steps=config.steps or GENERIC_SAMPLING["steps"],
    ).to(device or pack.device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
