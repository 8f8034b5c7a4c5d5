"""The loss: first-frame conditional denoising. Frame 1 goes in clean and carries no loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.context import FrameContext


def target_of(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """What the UNet predicts under the scheduler's prediction type."""
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        velocity: torch.Tensor = scheduler.get_velocity(clean, noise, t)
        return velocity
    raise ValueError(f"prediction type {kind!r} is not supported; use a pack with epsilon or v_prediction")


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
    *,
    foreground_weight: float = 0.0,
) -> torch.Tensor:
    """E || target_{2:n} - prediction_{2:n} ||^2 over the later frames.

    latents, noise: (B, F, 4, h, w). masks: float 0..1 (B, F, H, W). text: (B, L, C). timesteps: int (B,), one a clip.
    keep: bool (B,), False drops the clip's mask term. The UNet must have `adapter` attached. The foreground's error
    counts 1 + `foreground_weight` times.
    """
    clips, frames = latents.shape[:2]
    t = timesteps[:, None].expand(clips, frames).reshape(-1)
    noisy = scheduler.add_noise(latents.flatten(0, 1), noise.flatten(0, 1), t).unflatten(0, (clips, frames))
    noisy = torch.cat([latents[:, :1], noisy[:, 1:]], dim=1)
    own = timesteps[:, None].repeat(1, frames)
    own[:, 0] = 0
    features = adapter.mask_features(masks.flatten(0, 1))
    kept = keep.to(latents.dtype).repeat_interleave(frames)[:, None, None]
    context = FrameContext(frames=frames, masks={n: f * kept for n, f in features.items()})
    prediction = unet(
        noisy.flatten(0, 1),
        own.reshape(-1),
        encoder_hidden_states=text.repeat_interleave(frames, dim=0),
        cross_attention_kwargs={"context": context},
    ).sample.unflatten(0, (clips, frames))
    target = target_of(scheduler, latents.flatten(0, 1), noise.flatten(0, 1), t).unflatten(0, (clips, frames))
    error = (prediction[:, 1:].float() - target[:, 1:].float()).square()
    if foreground_weight:
        cover = F.adaptive_avg_pool2d(masks[:, 1:], (latents.shape[-2], latents.shape[-1]))[:, :, None]
        error = error * (1 + foreground_weight * cover)
    return error.mean()
