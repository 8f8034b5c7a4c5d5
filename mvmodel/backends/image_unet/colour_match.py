"""Keeps a long video's background colours close to those of its first frame."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def match_background(
    latents: torch.Tensor, first: torch.Tensor, masks: torch.Tensor, first_mask: torch.Tensor, share: float
) -> torch.Tensor:
    """Move the background's mean and standard deviation, per channel, to those of frame 1's background.

    This is LAMP's AdaIN restricted to the background, because the object may change its size. Frames with less than one
    latent cell of background stay as they are; all frames do if frame 1 has less.

    Args:
        latents: (1, F, C, h, w).
        first: Latents of frame 1, (1, C, h, w).
        masks: Float 0/1 (F, H, W), 1 is foreground. A latent cell counts by the share of it that is background.
        first_mask: Mask of frame 1, float 0/1 (H, W).
        share: 0 changes nothing, 1 matches completely.

    Returns:
        Latents (1, F, C, h, w).
    """
    size = (latents.shape[-2], latents.shape[-1])
    background = 1 - F.adaptive_avg_pool2d(torch.cat([first_mask[None], masks])[:, None], size)  # (1 + F, 1, h, w)
    mean, std = _weighted_statistics(latents[0], background[1:])
    target_mean, target_std = _weighted_statistics(first, background[:1])
    matched = (latents[0] - mean) / std.clamp(min=1e-6) * target_std + target_mean
    has_background = (background.sum(dim=(1, 2, 3)) >= 1).to(latents.dtype)  # (1 + F,)
    weight = (share * has_background[0] * has_background[1:])[:, None, None, None]
    return (latents[0] + weight * (matched - latents[0]))[None]


def _weighted_statistics(latents: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted mean and standard deviation over height and width, (F, C, 1, 1) each."""
    share = weights / weights.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    mean = (latents * share).sum(dim=(2, 3), keepdim=True)
    std = ((latents - mean).square() * share).sum(dim=(2, 3), keepdim=True).sqrt()
    return mean, std
