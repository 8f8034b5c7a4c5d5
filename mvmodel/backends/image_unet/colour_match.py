"""Holding a long video's colours to those of its first frame."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def match_background(
    latents: torch.Tensor, first: torch.Tensor, masks: torch.Tensor, first_mask: torch.Tensor, share: float
) -> torch.Tensor:
    """Latents whose background has, per channel, the mean and spread of frame 1's background; LAMP's AdaIN without the
    object, which may change its size.

    latents: (1, F, C, h, w). first: frame 1's, (1, C, h, w). masks: float 0/1 (F, H, W), first_mask (H, W), True is
    foreground; a latent cell counts by the share of it that is background. share: 0 changes nothing, 1 matches fully.
    Frames, or a first frame, with less than a cell of background are left as they are.
    """
    size = (latents.shape[-2], latents.shape[-1])
    free = 1 - F.adaptive_avg_pool2d(torch.cat([first_mask[None], masks])[:, None], size)  # (1 + F, 1, h, w)
    own_mean, own_spread = _statistics(latents[0], free[1:])
    mean, spread = _statistics(first, free[:1])
    matched = (latents[0] - own_mean) / own_spread.clamp(min=1e-6) * spread + mean
    room = (free.sum(dim=(1, 2, 3)) >= 1).to(latents.dtype)  # (1 + F,)
    weight = (share * room[0] * room[1:])[:, None, None, None]
    return (latents[0] + weight * (matched - latents[0]))[None]


def _statistics(latents: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted mean and standard deviation over the places, (F, C, 1, 1) each."""
    share = weights / weights.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    mean = (latents * share).sum(dim=(2, 3), keepdim=True)
    spread = ((latents - mean).square() * share).sum(dim=(2, 3), keepdim=True).sqrt()
    return mean, spread
