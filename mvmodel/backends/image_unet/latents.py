"""What the UNet's training reads, computed once: latents, masks and text embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from mvmodel.backends.training_config import CONTEXT_SHARE_FROM_SCRATCH, TrainConfig, TrainingClip
from mvmodel.files import atomic_write
from mvmodel.video.tensors import frames_to_tensor, tensor_to_frames

if TYPE_CHECKING:
    from mvmodel.packs import Pack


@dataclass(frozen=True)
class TrainingLatents:
    """The cached clips.

    latents: scaled, (clips, views, F, C, h, w); view 1 is the mirrored clip. masks: (clips, views, F, H, W). text:
    embeddings of the captions, (clips, L, D). empty: embedding of the empty prompt, (1, L, D).
    """

    latents: torch.Tensor
    masks: torch.Tensor
    text: torch.Tensor
    empty: torch.Tensor


@torch.no_grad()
def encode_frames(vae: AutoencoderKL, frames: np.ndarray, batch: int = 16) -> torch.Tensor:
    """Frames, uint8 (F, H, W, 3), to scaled latents (F, C, h, w), float32: the mean of the posterior."""
    device, dtype = next(vae.parameters()).device, next(vae.parameters()).dtype
    chunks = frames_to_tensor(frames).split(batch)
    latents = [vae.encode(chunk.to(device, dtype)).latent_dist.mode().float().cpu() for chunk in chunks]
    return torch.cat(latents) * vae.config.scaling_factor


@torch.no_grad()
def decode_frames(vae: AutoencoderKL, latents: torch.Tensor) -> np.ndarray:
    """Scaled latents (F, C, h, w) to frames, uint8 (F, H, W, 3)."""
    weights = next(vae.parameters())
    scaled = (latents / vae.config.scaling_factor).to(weights.device, weights.dtype)
    return tensor_to_frames(vae.decode(scaled).sample)


def add_latent_noise(vae: AutoencoderKL, frames: np.ndarray, amount: float, seed: int) -> np.ndarray:
    """Frames, uint8 (F, H, W, 3) in and out, with Gaussian noise added to their latents.

    amount: standard deviation of the noise, in standard deviations of the latents.
    """
    latents = encode_frames(vae, frames)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
    return decode_frames(vae, latents + amount * latents.std() * noise)


@torch.no_grad()
def encode_text(tokenizer: Any, text_encoder: Any, prompts: Sequence[str]) -> torch.Tensor:
    """Prompts to embeddings (prompts, L, D), as diffusers' Stable Diffusion pipelines compute them."""
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


def cache_training_latents(pack: Pack, clips: Sequence[TrainingClip], file: Path, flip: bool) -> TrainingLatents:
    """Encode the clips into `file` (safetensors), or read it if it exists. flip: add mirrored views."""
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
        tensors = {
            "latents": torch.stack(latents).half(),
            "masks": torch.stack(masks).to(torch.uint8),
            "text": text[1:].contiguous(),
            "empty": text[:1].contiguous(),
        }
        pack.move_off_device("vae", "text_encoder")
        with atomic_write(file) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
    tensors = load_file(file)
    return TrainingLatents(tensors["latents"].float(), tensors["masks"].float(), tensors["text"], tensors["empty"])


def draw_batch(
    cached: TrainingLatents, config: TrainConfig, index: int, train_timesteps: int = 1000
) -> tuple[torch.Tensor, ...]:
    """The arguments of `loss.denoising_loss` at step `index`: a function of these arguments alone.

    train_timesteps: number of timesteps of the noise schedule.
    """
    generator = torch.Generator().manual_seed((config.seed * 1_000_003 + index) % 2**63)
    count = config.clips_per_step
    clips = torch.randint(len(cached.latents), (count,), generator=generator)
    views = torch.randint(cached.latents.shape[1], (count,), generator=generator)
    latents, masks = cached.latents[clips, views], cached.masks[clips, views]
    noise = torch.randn(latents.shape, generator=generator)
    noise_level = torch.sigmoid(torch.randn(count, generator=generator) * 1.1 + 0.5)
    low, high = config.timestep_range
    noise_level = low + (high - low) * noise_level
    timesteps = (noise_level * train_timesteps).long().clamp(0, train_timesteps - 1)
    keep_both = torch.rand(count, generator=generator) >= config.dropout
    keep_text = keep_both & (torch.rand(count, generator=generator) >= config.text_dropout)
    keep_mask = keep_both & (torch.rand(count, generator=generator) >= config.mask_dropout)
    text = torch.where(keep_text[:, None, None], cached.text[clips], cached.empty.expand(count, -1, -1))
    context = torch.randint(0, max(1, latents.shape[1] // 2), (count,), generator=generator)
    share = config.context_share
    if share is None:
        share = CONTEXT_SHARE_FROM_SCRATCH if config.init_from is None else 0.0
    clean_frames = 1 + torch.where(torch.rand(count, generator=generator) < share, context, 0)
    return latents, masks, text, noise, timesteps, keep_mask, clean_frames
