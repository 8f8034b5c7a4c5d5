"""Few-shot tuning: a handful of clips in, a motion adapter out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mvmodel import __version__
from mvmodel.errors import InputError, PackError
from mvmodel.files import folder_aside, write_json
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.saving import load_adapter, save_adapter
from mvmodel.training.config import TrainConfig, TrainingClip
from mvmodel.training.latents import TrainingLatents, prepare
from mvmodel.training.loop import LoopConfig, train
from mvmodel.training.loss import denoising_loss

__all__ = ["draw", "finetune", "load_adapter", "new_adapter", "plain_attention", "precision_of", "save_adapter"]


def new_adapter(pack: Any, config: TrainConfig) -> MotionMaskAdapter:
    """The adapter that training begins with, as `config.init_from` says."""
    unet = pack.unet()
    if config.init_from is None:
        return MotionMaskAdapter.for_unet(
            unet,
            patch=pack.latent_factor,
            mask_encoder=config.mask_encoder,
            mask_width=config.mask_width,
            temporal_share=config.temporal_share,
        )
    start = pack.start_adapter() if config.init_from == "start" else Path(config.init_from)
    if start is None:
        raise PackError(f"pack {pack.info.name} ships no start adapter; set init_from to a folder or to null")
    adapter = load_adapter(start)
    adapter.check_fits(unet)
    return adapter


def precision_of(config: TrainConfig) -> str:
    """accelerate's mixed precision for this machine: "auto" is bf16 where the hardware has it, else float32."""
    if config.precision != "auto":
        return config.precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return "bf16" if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "no"


class _Tuned(torch.nn.Module):
    """Adapter (trained) and UNet (frozen, not a submodule) in one forward that gives the loss."""

    def __init__(self, adapter: MotionMaskAdapter, unet: Any, scheduler: Any, foreground_weight: float) -> None:
        super().__init__()
        self.adapter = adapter
        self._frozen = (unet, scheduler)
        self.foreground_weight = foreground_weight

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        unet, scheduler = self._frozen
        return denoising_loss(unet, self.adapter, scheduler, *inputs, foreground_weight=self.foreground_weight)


@contextmanager
def plain_attention() -> Iterator[None]:
    """Plain batched attention on a CPU, where the fused kernel's backward pass is several times slower."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if torch.cuda.is_available():
        yield
    else:
        with sdpa_kernel(SDPBackend.MATH):
            yield


def draw(data: TrainingLatents, config: TrainConfig, index: int, steps: int = 1000) -> tuple[torch.Tensor, ...]:
    """The arguments of the loss at step `index`; a function of data, config and index alone."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + index)
    count = config.clips_per_step
    rows = torch.randint(len(data.latents), (count,), generator=generator)
    views = torch.randint(data.latents.shape[1], (count,), generator=generator)
    latents, masks = data.latents[rows, views], data.masks[rows, views]
    noise = torch.randn(latents.shape, generator=generator)
    share = torch.sigmoid(torch.randn(count, generator=generator) * 1.1 + 0.5)
    timesteps = (share * steps).long().clamp(0, steps - 1)
    keep = torch.rand(count, generator=generator) >= config.dropout
    text = torch.where(keep[:, None, None], data.text[rows], data.empty.expand(count, -1, -1))
    return latents, masks, text, noise, timesteps, keep


def finetune(
    pack: Any,
    clips: Sequence[TrainingClip],
    config: TrainConfig,
    folder: Path,
    validation: Sequence[TrainingClip] = (),
    report: Callable[[dict[str, Any]], None] | None = None,
    device: str | None = None,
) -> Path:
    """Tune an adapter on `clips` and write it to `folder`/adapter; returns that path.

    Resumes from `folder`/work if an earlier run was stopped; a finished adapter is returned at once. The folder holds
    `diffusion_pytorch_model.safetensors`, `config.json`, `README.md` (model card), `train.json` (config, clips, pack,
    losses) and `curve.jsonl`. Raises InputError without clips or for clips of different lengths.
    """
    if not clips:
        raise InputError("there is no clip to train on; give at least one with masks")
    shapes = {clip.frames.shape for clip in clips}
    if len(shapes) > 1:
        raise InputError(f"the clips differ in size ({sorted(shapes)}); ingest them with one configuration")
    out = Path(folder) / "adapter"
    if (out / "train.json").exists():
        return out
    work = Path(folder) / "work"
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    data = prepare(pack, clips, work / "latents.safetensors", config.flip)
    held = prepare(pack, validation, work / "validation.safetensors", False) if validation else None
    torch.manual_seed(config.seed)
    adapter = new_adapter(pack, config).train()
    unet, scheduler = pack.unet().requires_grad_(False).eval(), pack.scheduler()
    if config.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        adapter.enable_gradient_checkpointing()
    model = _Tuned(adapter, unet.to(device), scheduler, config.foreground_weight)
    groups = [
        {"params": params, "lr": config.mask_lr if part == "mask" else config.lr}
        for part, params in adapter.parameter_groups().items()
    ]
    loop = LoopConfig(
        steps=config.steps,
        batch=config.clips_per_step,
        lr=config.lr,
        warmup=config.warmup,
        weight_decay=config.weight_decay,
        ema=0.0,
        precision=precision_of(config),
        seed=config.seed,
        checkpoint_every=config.checkpoint_every,
        sample_every=config.steps + 1,
        log_every=max(1, config.steps // 40),
    )

    def batch(index: int) -> tuple[torch.Tensor, ...]:
        return tuple(part.to(device) for part in draw(data, config, index, scheduler.config.num_train_timesteps))

    def loss(net: torch.nn.Module, drawn: tuple[torch.Tensor, ...], step: int) -> tuple[torch.Tensor, dict[str, float]]:
        return net(*drawn), {}

    with adapter.attached(unet), plain_attention():
        before = _validation_loss(model, held, config, device)
        train("adapter", model, batch, loss, loop, work, groups=groups, report=report)
        after = _validation_loss(model, held, config, device)
    facts = {
        "pack": pack.info.name,
        "pack_hash": pack.hash,
        "random_pack": pack.info.random,
        "mvmodel": __version__,
        "config": config.model_dump(),
        "clips": [{"name": clip.name, "caption": clip.caption, "frames": len(clip.frames)} for clip in clips],
        "parameters": {part: sum(p.numel() for p in ps) for part, ps in adapter.parameter_groups().items()},
        "validation_loss_before": before,
        "validation_loss_after": after,
    }
    with folder_aside(out) as aside:
        save_adapter(adapter.cpu().eval(), aside, len(clips[0].frames))
        shutil.copy(work / "curve.jsonl", aside / "curve.jsonl")
        (aside / "README.md").write_text(_card(facts))
        write_json(aside / "train.json", facts)
    shutil.rmtree(work)
    return out


@torch.no_grad()
def _validation_loss(model: _Tuned, data: TrainingLatents | None, config: TrainConfig, device: str) -> float | None:
    """Mean loss over held-out clips on eight fixed draws; None without held-out clips."""
    if data is None:
        return None
    fixed = config.model_copy(update={"seed": 12_345, "dropout": 0.0})
    losses = [float(model(*(p.to(device) for p in draw(data, fixed, index)))) for index in range(8)]
    return sum(losses) / len(losses)


def _card(facts: dict[str, Any]) -> str:
    names = "\n".join(f"- {clip['name']}: {clip['caption'] or '(no caption)'}" for clip in facts["clips"])
    parts = "\n".join(f"| {part} | {count:,} |" for part, count in facts["parameters"].items())
    config = json.dumps(facts["config"], indent=2)
    warning = "\n**Trained on a random pack: it shows nothing.**\n" if facts["random_pack"] else ""
    return f"""---
library_name: mvmodel
tags: [motion-adapter, mask-control]
---
# Motion adapter
{warning}
Tuned on {len(facts["clips"])} clips with mvmodel {facts["mvmodel"]}, for the pack `{facts["pack"]}`
(`{facts["pack_hash"][:12]}`). Use it with `mvmodel generate` or `MaskVideoPipeline`.

## Clips
{names}

## Trainable parameters
| part | weights |
|---|---|
{parts}

## Configuration
```json
{config}
```
"""
