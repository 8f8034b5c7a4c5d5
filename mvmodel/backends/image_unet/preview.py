"""A picture of what training has learned: a clip, and what the model predicts of it with and without its masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image

from mvmodel.backends.image_unet.latents import TrainingLatents, decode_frames
from mvmodel.files import atomic_write
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.context import DEFAULT, FrameContext
from mvmodel.video.sampling import evenly_spaced_indices

NOISE_LEVEL = 0.8
"""As a share of the noise schedule: high enough that the model has to decide where the object is."""


@torch.no_grad()
def predict_clean_latents(
    adapter: MotionMaskAdapter,
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    cached: TrainingLatents,
    mask: bool,
    seed: int = 0,
) -> torch.Tensor:
    """Clean latents of the first clip, predicted in one step from noisy ones, (F, C, h, w). `adapter` is attached."""
    device = unet.device
    clean = cached.latents[0, 0].to(device)
    t = torch.full((len(clean),), int(NOISE_LEVEL * scheduler.config.num_train_timesteps), device=device)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed)).to(device)
    noisy = scheduler.add_noise(clean, noise, t)
    noisy[0], t[0] = clean[0], 0
    terms = {DEFAULT: (adapter.mask_term(cached.masks[0, 0].to(device)),)} if mask else {}
    options = {"context": FrameContext(len(clean), terms)}
    text = cached.text[:1].to(device)
    out = unet(noisy, t, encoder_hidden_states=text, cross_attention_kwargs=options).sample
    alpha = scheduler.alphas_cumprod.to(device)[t].view(-1, 1, 1, 1)
    if scheduler.config.prediction_type == "epsilon":
        predicted = (noisy - (1 - alpha).sqrt() * out) / alpha.sqrt()
    else:
        predicted = alpha.sqrt() * noisy - (1 - alpha).sqrt() * out
    predicted[0] = clean[0]
    return predicted


def write_preview_strip(
    png: Path,
    adapter: MotionMaskAdapter,
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    vae: AutoencoderKL,
    cached: TrainingLatents,
) -> None:
    """Write three rows of frames: the clip itself, the prediction with its masks, and the prediction without them."""
    rows = [cached.latents[0, 0]]
    rows += [predict_clean_latents(adapter, unet, scheduler, cached, mask) for mask in (True, False)]
    strips = []
    for latents in rows:
        frames = decode_frames(vae, latents[evenly_spaced_indices(8, len(latents))])
        strips.append(np.concatenate(list(frames), axis=1))
    with atomic_write(png) as temporary:
        Image.fromarray(np.concatenate(strips)).save(temporary)
