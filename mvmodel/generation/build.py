"""Pipelines from packs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mvmodel.generation.config import GenerationConfig


def build_scheduler(pack: Any, config: GenerationConfig) -> Any:
    """The pack's noise schedule under the solver that `config` names."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    solver = DDIMScheduler if config.scheduler == "ddim" else DPMSolverMultistepScheduler
    return solver.from_config(pack.scheduler().config)


def build_pipeline(pack: Any, adapter: Path | None, config: GenerationConfig, device: str | None = None) -> Any:
    """A `MaskVideoPipeline` of `pack` with the adapter in folder `adapter` (None: the base model alone)."""
    import torch

    from mvmodel.generation.pipeline import MaskVideoPipeline
    from mvmodel.training.finetune import load_adapter

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    unet = pack.unet()
    loaded = None
    if adapter is not None:
        loaded = load_adapter(Path(adapter))
        if loaded.dtype != unet.dtype:
            loaded = loaded.to(unet.dtype)
        loaded.check_fits(unet)
    pipeline = MaskVideoPipeline(
        vae=pack.vae(),
        text_encoder=pack.text_encoder(),
        tokenizer=pack.tokenizer(),
        unet=unet,
        scheduler=build_scheduler(pack, config),
        adapter=loaded,
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
