"""The loss: first-frame conditional denoising. Frame 1 goes in clean and carries no loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.context import DEFAULT, FrameContext


def training_target(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """What the UNet predicts under the scheduler's prediction type."""
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        velocity: torch.Tensor = scheduler.get_velocity(clean, noise, t)
        return velocity
    raise ValueError(f"prediction type {kind!r} is not supported; use a pack with epsilon or v_prediction")


def min_snr_weights(scheduler: Any, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
    """Min-SNR weights of the squared error, (B,): min(snr, gamma) / snr for epsilon, / (snr + 1) for v-prediction.

    Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy".
    """
    kept = scheduler.alphas_cumprod.to(timesteps.device)[timesteps].float()
    snr = (kept / (1 - kept)).clamp(min=1e-8)
    weight: torch.Tensor = snr.clamp(max=gamma) / (snr + (scheduler.config.prediction_type == "v_prediction"))
    return weight


def denoising_loss(
    unet: Any,
    adapter: MotionMaskAdapter,
    scheduler: Any,
    latents: torch.Tensor,
    masks: torch.Tensor,
    text: torch.Tensor,
    noise: torch.Tensor,
    timesteps: torch.Tensor,
    keep: torch.Tensor,
    clean: torch.Tensor | None = None,
    *,
    foreground_weight: float = 0.0,
    min_snr_gamma: float = 0.0,
) -> torch.Tensor:
    """E || target_{2:n} - prediction_{2:n} ||^2 over the later frames.

    latents, noise: (B, F, 4, h, w). masks: float 0..1 (B, F, H, W). text: (B, L, C). timesteps: int (B,), one a clip.
    keep: bool (B,), False drops the clip's mask term. clean: int (B,), how many frames go in clean and carry no loss;
    None is 1 for every clip. The UNet must have `adapter` attached. The foreground's error counts 1 +
    `foreground_weight` times. min_snr_gamma 0 weighs all timesteps alike.
    """
    clips, frames = latents.shape[:2]
    t = timesteps[:, None].expand(clips, frames).reshape(-1)
    noisy = scheduler.add_noise(latents.flatten(0, 1), noise.flatten(0, 1), t).unflatten(0, (clips, frames))
    if clean is None:
        clean = torch.ones_like(timesteps)
    given = torch.arange(frames, device=clean.device) < clean[:, None]  # (B, F)
    noisy = torch.where(given[:, :, None, None, None], latents, noisy)
    own = timesteps[:, None].masked_fill(given, 0)
    term = adapter.mask_term(masks.flatten(0, 1)).scale_rows(keep.to(latents.dtype).repeat_interleave(frames))
    prediction = unet(
        noisy.flatten(0, 1),
        own.reshape(-1),
        encoder_hidden_states=text,  # one row a clip: its keys and values are the same in every frame
        cross_attention_kwargs={"context": FrameContext(frames, {DEFAULT: (term,)})},
    ).sample.unflatten(0, (clips, frames))
    target = training_target(scheduler, latents.flatten(0, 1), noise.flatten(0, 1), t).unflatten(0, (clips, frames))
    error = (prediction[:, 1:].float() - target[:, 1:].float()).square()
    if foreground_weight:
        cover = F.adaptive_avg_pool2d(masks[:, 1:], (latents.shape[-2], latents.shape[-1]))[:, :, None]
        error = error * (1 + foreground_weight * cover)
    if min_snr_gamma:
        error = error * min_snr_weights(scheduler, timesteps, min_snr_gamma)[:, None, None, None, None]
    if not given[:, 1:].any():
        return error.mean()
    wanted = (~given[:, 1:]).to(error.dtype)
    return (error.mean(dim=(2, 3, 4)) * wanted).sum() / wanted.sum()
