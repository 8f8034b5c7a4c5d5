"""The training loss: denoising of the later frames, given clean frame 1, which carries no loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.training_utils import compute_snr

from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.context import DEFAULT, FrameContext


def training_target(
    scheduler: DDIMScheduler, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor
) -> torch.Tensor:
    """What the UNet predicts under the scheduler's prediction type."""
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        velocity: torch.Tensor = scheduler.get_velocity(clean, noise, t)
        return velocity
    raise ValueError(f"prediction type {kind!r} is not supported; use a pack with epsilon or v_prediction")


def min_snr_weights(scheduler: DDIMScheduler, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
    """Min-SNR weights of the squared error, (B,): min(snr, gamma) / snr for epsilon, / (snr + 1) for v-prediction.

    Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy".
    """
    snr = compute_snr(scheduler, timesteps).clamp(min=1e-8)
    weight: torch.Tensor = snr.clamp(max=gamma) / (snr + (scheduler.config.prediction_type == "v_prediction"))
    return weight


def denoising_loss(
    unet: UNet2DConditionModel,
    adapter: MotionMaskAdapter,
    scheduler: DDIMScheduler,
    latents: torch.Tensor,
    masks: torch.Tensor,
    text: torch.Tensor,
    noise: torch.Tensor,
    timesteps: torch.Tensor,
    keep_mask: torch.Tensor,
    clean_frames: torch.Tensor | None = None,
    *,
    foreground_weight: float = 0.0,
    min_snr_gamma: float = 0.0,
) -> torch.Tensor:
    """E || target_{2:n} - prediction_{2:n} ||^2 over the later frames.

    Args:
        unet: Has `adapter` attached.
        adapter: Encodes the masks.
        scheduler: Adds the noise.
        latents: (B, F, C, h, w).
        masks: Float 0..1, (B, F, H, W).
        text: (B, L, D).
        noise: As `latents`.
        timesteps: Int (B,), one per clip.
        keep_mask: Bool (B,); False drops the clip's mask term.
        clean_frames: Int (B,), how many frames are clean and carry no loss; None is 1 for every clip. As in sampling,
            clean frames attend to no noisy one.
        foreground_weight: The error in the foreground counts 1 + this many times.
        min_snr_gamma: 0 weights all timesteps equally.
    """
    clips, frames = latents.shape[:2]
    t = timesteps[:, None].expand(clips, frames).reshape(-1)
    noisy = scheduler.add_noise(latents.flatten(0, 1), noise.flatten(0, 1), t).unflatten(0, (clips, frames))
    if clean_frames is None:
        clean_frames = torch.ones_like(timesteps)
    is_clean = torch.arange(frames, device=clean_frames.device) < clean_frames[:, None]  # (B, F)
    noisy = torch.where(is_clean[:, :, None, None, None], latents, noisy)
    frame_timesteps = timesteps[:, None].masked_fill(is_clean, 0)
    term = adapter.mask_term(masks.flatten(0, 1)).scale_rows(keep_mask.to(latents.dtype).repeat_interleave(frames))
    has_context = bool((clean_frames > 1).any())
    context = FrameContext(frames, {DEFAULT: (term,)}, clean_frames=clean_frames if has_context else None)
    prediction = unet(
        noisy.flatten(0, 1),
        frame_timesteps.reshape(-1),
        encoder_hidden_states=text,  # one row per clip: its keys and values are the same in every frame
        cross_attention_kwargs={"context": context},
    ).sample.unflatten(0, (clips, frames))
    target = training_target(scheduler, latents.flatten(0, 1), noise.flatten(0, 1), t).unflatten(0, (clips, frames))
    error = (prediction[:, 1:].float() - target[:, 1:].float()).square()
    if foreground_weight:
        coverage = F.adaptive_avg_pool2d(masks[:, 1:], (latents.shape[-2], latents.shape[-1]))[:, :, None]
        error = error * (1 + foreground_weight * coverage)
    if min_snr_gamma:
        error = error * min_snr_weights(scheduler, timesteps, min_snr_gamma)[:, None, None, None, None]
    if not has_context:
        return error.mean()
    counts = (~is_clean[:, 1:]).to(error.dtype)
    return (error.mean(dim=(2, 3, 4)) * counts).sum() / counts.sum()
