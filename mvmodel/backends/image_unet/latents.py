"""Everything the UNet's training reads, computed once: latents, masks, text embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.files import atomic_write
from mvmodel.video.tensors import frames_to_tensor, tensor_to_frames


@dataclass(frozen=True)
class TrainingLatents:
    """latents: scaled (clips, views, F, C, h, w), view 1 being the mirrored clip. masks: (clips, views, F, H, W).
    text: (clips, L, D). empty: embedding of the empty prompt, (1, L, D)."""

    latents: torch.Tensor
    masks: torch.Tensor
    text: torch.Tensor
    empty: torch.Tensor


@torch.no_grad()
def encode_frames(vae: Any, frames: np.ndarray, batch: int = 16) -> torch.Tensor:
    """Frames uint8 (F, H, W, 3) to scaled latents (F, C, h, w), float32: the posterior's mean."""
    device, dtype = next(vae.parameters()).device, next(vae.parameters()).dtype
    pixels = frames_to_tensor(frames)
    parts = [vae.encode(part.to(device, dtype)).latent_dist.mode().float().cpu() for part in pixels.split(batch)]
    return torch.cat(parts) * vae.config.scaling_factor


@torch.no_grad()
def decode_frames(vae: Any, latents: torch.Tensor) -> np.ndarray:
    """Scaled latents (F, C, h, w) to frames, uint8 (F, H, W, 3)."""
    weights = next(vae.parameters())
    scaled = (latents / vae.config.scaling_factor).to(weights.device, weights.dtype)
    return tensor_to_frames(vae.decode(scaled).sample)


def add_latent_noise(vae: Any, frames: np.ndarray, amount: float, seed: int) -> np.ndarray:
    """Frames, uint8 (F, H, W, 3) in and out, with Gaussian noise added to their latents.

    amount: in standard deviations of the latents. seed: of the noise.
    """
    latents = encode_frames(vae, frames)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
    return decode_frames(vae, latents + amount * latents.std() * noise)


@torch.no_grad()
def encode_text(tokenizer: Any, text_encoder: Any, prompts: Sequence[str]) -> torch.Tensor:
    """Prompts to embeddings (prompts, L, D), as diffusers' Stable Diffusion pipelines make them."""
    ids = tokenizer(
        list(prompts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    device = next(text_encoder.parameters()).device
    embeddings: torch.Tensor = text_encoder(ids.to(device))[0].float().cpu()
    return embeddings


def prepare(pack: Any, clips: Sequence[TrainingClip], file: Path, flip: bool) -> TrainingLatents:
    """Encode the clips, or read what an earlier call left in `file` (safetensors)."""
    from safetensors.torch import load_file, save_file

    if not file.exists():
        vae = pack.vae()
        latents, masks = [], []
        for clip in clips:
            views = [(clip.frames, clip.masks)]
            if flip:
                views.append((clip.frames[:, :, ::-1], clip.masks[:, :, ::-1]))
            latents.append(torch.stack([encode_frames(vae, frames) for frames, _ in views]))
            masks.append(torch.stack([torch.from_numpy(np.ascontiguousarray(m)) for _, m in views]))
        text = encode_text(pack.tokenizer(), pack.text_encoder(), ["", *(clip.caption for clip in clips)])
        data = {
            "latents": torch.stack(latents).half(),
            "masks": torch.stack(masks).to(torch.uint8),
            "text": text[1:].contiguous(),
            "empty": text[:1].contiguous(),
        }
        with atomic_write(file) as aside:
            save_file({name: value.contiguous() for name, value in data.items()}, aside)
    data = load_file(file)
    return TrainingLatents(data["latents"].float(), data["masks"].float(), data["text"], data["empty"])


def draw(data: TrainingLatents, config: TrainConfig, index: int, steps: int = 1000) -> tuple[torch.Tensor, ...]:
    """The arguments of `loss.denoising_loss` at step `index`: a function of these arguments alone.

    steps: the scheduler's number of training timesteps.
    """
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + index)
    count = config.clips_per_step
    rows = torch.randint(len(data.latents), (count,), generator=generator)
    views = torch.randint(data.latents.shape[1], (count,), generator=generator)
    latents, masks = data.latents[rows, views], data.masks[rows, views]
    noise = torch.randn(latents.shape, generator=generator)
    share = torch.sigmoid(torch.randn(count, generator=generator) * 1.1 + 0.5)
    timesteps = (share * steps).long().clamp(0, steps - 1)
    keep = torch.rand(count, generator=generator) >= config.dropout
    keep_text = keep & (torch.rand(count, generator=generator) >= config.text_dropout)
    keep_mask = keep & (torch.rand(count, generator=generator) >= config.mask_dropout)
    text = torch.where(keep_text[:, None, None], data.text[rows], data.empty.expand(count, -1, -1))
    more = torch.randint(0, max(1, latents.shape[1] // 2), (count,), generator=generator)
    clean = 1 + torch.where(torch.rand(count, generator=generator) < config.context_share, more, 0)
    return latents, masks, text, noise, timesteps, keep_mask, clean
