"""The start adapter: one adapter tuned on many rendered clips of all motions; few-shot tuning begins from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from mvmodel.backends.image_unet.latents import TrainingLatents, draw_batch, encode_frames, encode_text
from mvmodel.backends.image_unet.loss import denoising_loss
from mvmodel.backends.training_config import CONTEXT_SHARE_FROM_SCRATCH, TrainConfig
from mvmodel.errors import InputError
from mvmodel.files import atomic_write, write_json
from mvmodel.foundation.start_clips import FRAMES, StartAdapterData, render_in_processes
from mvmodel.foundation.text_to_image import TextToImageModels
from mvmodel.foundation.warm_start import load_matching_weights
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapter
from mvmodel.model.saving import save_adapter
from mvmodel.packs.device import resolve_device
from mvmodel.training.cpu_kernels import math_attention, use_float32_group_norm
from mvmodel.training.loop import train
from mvmodel.training.optimizer import LoopConfig

START_ADAPTER_LOOP = LoopConfig(
    steps=900, batch=3, lr=5e-4, warmup=60, ema=0.0, final_lr=0.03, checkpoint_every=200, sample_every=10_000
)
MASK_LR = 2e-3
DROPOUT = 0.1
"""Share of clips whose first few frames go in clean, as they do in the windows of a long video."""
FOREGROUND_WEIGHT = 1.0
_GPU_FRAMES = 240
"""Frames that a GPU encodes at a time."""


@torch.no_grad()
def load_training_latents(models: TextToImageModels, folder: Path, data: StartAdapterData) -> TrainingLatents:
    """Latents (half), masks (uint8) and text embeddings of the rendered clips, from `folder` when it holds them.

    Raises InputError if `folder` holds clips of another count or other motions.
    """
    file, record = folder / "clips.safetensors", {"clips": data.clips, "exclude_motions": list(data.exclude_motions)}
    device = torch.device(data.device)
    if not file.exists():
        latents, masks, captions = [], [], []
        models.vae.to(device)
        for clips in render_in_processes(data):
            frames = np.concatenate([clip.frames for clip in clips])
            with torch.autocast("cpu", torch.bfloat16, enabled=device.type == "cpu"):
                encoded = encode_frames(models.vae, frames, FRAMES if device.type == "cpu" else _GPU_FRAMES)
            latents.append(encoded.half().unflatten(0, (len(clips), FRAMES)))
            masks.append(torch.from_numpy(np.stack([clip.masks for clip in clips])).to(torch.uint8))
            captions += [clip.caption for clip in clips]
            print(f"clips {len(captions)}/{data.clips}", flush=True)
        text = encode_text(models.tokenizer, models.text_encoder, ["", *captions])
        parts = {"latents": torch.cat(latents), "masks": torch.cat(masks), "text": text[1:], "empty": text[:1]}
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        write_json(folder / "data.json", {**record, "device": name})
        with atomic_write(file) as temporary:
            save_file({name: part.contiguous() for name, part in parts.items()}, temporary)
    stored_record = json.loads((folder / "data.json").read_text()) if (folder / "data.json").exists() else record
    if any(stored_record[name] != value for name, value in record.items()):
        raise InputError(f"{file} holds other clips ({stored_record}) than asked for ({record}); use another --folder")
    tensors = load_file(file)
    return TrainingLatents(tensors["latents"][:, None], tensors["masks"][:, None], tensors["text"], tensors["empty"])


class _Step(torch.nn.Module):
    def __init__(self, adapter: MotionMaskAdapter, models: TextToImageModels) -> None:
        super().__init__()
        self.adapter = adapter
        self._models = models

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        frozen = self._models
        return denoising_loss(frozen.unet, self.adapter, frozen.scheduler, *inputs, foreground_weight=FOREGROUND_WEIGHT)


def train_start_adapter(
    folder: Path,
    models: TextToImageModels,
    config: LoopConfig = START_ADAPTER_LOOP,
    data: StartAdapterData = StartAdapterData(),
    start: Path | None = None,
) -> Path:
    """Train the start adapter; returns its folder.

    start: a pack whose start adapter the training begins with. It may have seen the motions that `data` excludes.
    """
    use_float32_group_norm()
    torch.manual_seed(config.seed)
    data = replace(data, device=resolve_device(data.device))
    cached = load_training_latents(models, folder, data)
    unet = models.unet.requires_grad_(False).eval().to(data.device)
    adapter = MotionMaskAdapter.for_unet(unet, patch=8).train()
    if start is not None:
        load_matching_weights(adapter, start / "start_adapter")
    adapter.to(data.device)
    groups = [
        {"params": params, "lr": MASK_LR if part == "mask" else config.lr}
        for part, params in adapter.parameter_groups().items()
    ]

    drawing = TrainConfig(
        clips_per_step=config.batch, dropout=DROPOUT, context_share=CONTEXT_SHARE_FROM_SCRATCH, seed=config.seed
    )

    def batch(index: int) -> tuple[torch.Tensor, ...]:
        latents, masks, *others = draw_batch(cached, drawing, index, models.scheduler.config.num_train_timesteps)
        latents, masks = latents.to(data.device).float(), masks.to(data.device).float()
        return latents, masks, *(tensor.to(data.device) for tensor in others)

    def loss(
        net: torch.nn.Module, batch_tensors: tuple[torch.Tensor, ...], step: int
    ) -> tuple[torch.Tensor, dict[str, float]]:
        return net(*batch_tensors), {}

    with attach_adapter(unet, adapter), math_attention(data.device):
        step = _Step(adapter, models)
        train("start_adapter", step, batch, loss, config, folder, groups=groups, cpu=data.device == "cpu")
    out = folder / "adapter"
    save_adapter(adapter.eval().cpu(), out, FRAMES)
    return out
