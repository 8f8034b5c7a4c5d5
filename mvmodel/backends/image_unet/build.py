"""Builds a `MaskVideoPipeline` from a pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mvmodel.backends.generation_config import GENERIC_SAMPLING, GenerationConfig
from mvmodel.backends.image_unet.pipeline import MaskVideoPipeline
from mvmodel.backends.image_unet.schedulers import build_scheduler
from mvmodel.model.saving import load_adapter

if TYPE_CHECKING:
    from mvmodel.packs import Pack


def build_pipeline(
    pack: Pack, adapter_folder: Path | None, config: GenerationConfig, device: str | None = None
) -> MaskVideoPipeline:
    """A pipeline of the pack's models with the adapter in `adapter_folder`; None is the base model alone.

    Of the config, the scheduler and the defaults of guidance and steps are used. Raises PackError when the adapter was
    trained for another architecture.
    """
    config = config.for_pack(pack.info)
    unet = pack.unet()
    adapter = None
    if adapter_folder is not None:
        adapter = load_adapter(Path(adapter_folder), unet.dtype)
        adapter.check_fits(unet)
    pipeline: MaskVideoPipeline = MaskVideoPipeline(
        vae=pack.vae(),
        text_encoder=pack.text_encoder(),
        tokenizer=pack.tokenizer(),
        unet=unet,
        scheduler=build_scheduler(pack, config.scheduler),
        adapter=adapter,
        controlnet=pack.controlnet() if config.control_frames == "every" else None,
        default_guidance_scale=config.guidance_scale or GENERIC_SAMPLING["guidance_scale"],
        default_steps=config.steps or GENERIC_SAMPLING["steps"],
        default_control=config.control or pack.info.control,
    ).to(device or pack.device)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.offload = pack.memory.offload
    return pipeline
