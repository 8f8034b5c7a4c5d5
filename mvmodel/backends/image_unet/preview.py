"""What training has come to, in one picture: a clip, and the model's guess of it with and without its masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mvmodel.backends.image_unet.latents import TrainingLatents
from mvmodel.files import atomic_write
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.context import DEFAULT, FrameContext
from mvmodel.video.sampling import evenly_spaced_indices

SHARE = 0.8
"""Noise level of the guess, as a share of the schedule: high enough that the object has to be put somewhere."""


@torch.no_grad()
def predict_clean_latents(
    adapter: MotionMaskAdapter, unet: Any, scheduler: Any, data: TrainingLatents, mask: bool, seed: int = 0
) -> torch.Tensor:
    """Clean latents of the first clip, guessed in one step from noisy ones: (F, C, h, w). `adapter` is attached."""
    device = unet.device
    clean = data.latents[0, 0].to(device)
    t = torch.full((len(clean),), int(SHARE * scheduler.config.num_train_timesteps), device=device)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed)).to(device)
    noisy = scheduler.add_noise(clean, noise, t)
    noisy[0], t[0] = clean[0], 0
    terms = {DEFAULT: (adapter.mask_term(data.masks[0, 0].to(device)),)} if mask else {}
    text = data.text[:1].to(device)
    options = {"context": FrameContext(len(clean), terms)}
    out = unet(noisy, t, encoder_hidden_states=text, cross_attention_kwargs=options).sample
    kept = scheduler.alphas_cumprod.to(device)[t].view(-1, 1, 1, 1)
    if scheduler.config.prediction_type == "epsilon":
        found = (noisy - (1 - kept).sqrt() * out) / kept.sqrt()
    else:
        found = kept.sqrt() * noisy - (1 - kept).sqrt() * out
    found[0] = clean[0]
    return found


@torch.no_grad()
def write_strip(
    png: Path, adapter: MotionMaskAdapter, unet: Any, scheduler: Any, vae: Any, data: TrainingLatents
) -> None:
    """Write three rows of frames: the clip's latents decoded, the guess with masks, the guess without."""
    from PIL import Image

    rows = [
        data.latents[0, 0],
        *(predict_clean_latents(adapter, unet, scheduler, data, mask) for mask in (True, False)),
    ]
    shown = []
    for latents in rows:
        picked = latents[evenly_spaced_indices(8, len(latents))]
        scaled = (picked / vae.config.scaling_factor).to(vae.device, vae.dtype)
        pictures = (vae.decode(scaled).sample.float().clamp(-1, 1) + 1) * 127.5
        shown.append(pictures.round().byte().permute(2, 0, 3, 1).flatten(1, 2))  # (H, F * W, 3)
    with atomic_write(png) as aside:
        Image.fromarray(torch.cat(shown).cpu().numpy()).save(aside)
