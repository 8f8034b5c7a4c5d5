"""Starting noise, and noise that all frames share with frame 1 (paper, Eq. 8)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.utils.torch_utils import randn_tensor

from mvmodel.backends.generation_config import NoiseSharingMode


def draw_noise(
    shape: Sequence[int],
    generator: torch.Generator | list[torch.Generator] | None,
    device: torch.device | str,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Standard normal noise; a list of generators draws one row each.

    It is drawn in float32 and then rounded to `dtype`, because generators give other numbers in half precision: a seed
    is the same video in every precision, but for rounding.
    """
    noise: torch.Tensor = randn_tensor(
        tuple(shape), generator=generator, device=torch.device(device), dtype=torch.float32
    )
    return noise.to(dtype)


def share_noise(
    noise: torch.Tensor, first_latents: torch.Tensor, alpha: float, mode: NoiseSharingMode = "paper"
) -> torch.Tensor:
    """Starting noise of frames 2..n, mixed with frame 1.

    noise: standard normal (B, F, C, h, w), for frame 1 first. first_latents: E(frame 1), (B, C, h, w).
    Returns (B, F - 1, C, h, w):
    - "paper": alpha * E(frame 1) + (1 - alpha) * eps_i. Its variance is below 1 (0.82 standard deviations at 0.2).
    - "noise": alpha * eps_1 + (1 - alpha) * eps_i, frame 1's own noise, as LAMP mixes it.
    - "variance_preserving": alpha * s + sqrt(1 - alpha^2) * eps_i with s = E(frame 1) scaled to unit variance.
    """
    later = noise[:, 1:]
    if mode == "paper":
        return alpha * first_latents[:, None] + (1 - alpha) * later
    if mode == "noise":
        return alpha * noise[:, :1] + (1 - alpha) * later
    if mode == "variance_preserving":
        spread = first_latents.flatten(1).std(dim=1).clamp(min=1e-6).view(-1, 1, 1, 1, 1)
        return alpha * first_latents[:, None] / spread + (1 - alpha**2) ** 0.5 * later
    raise ValueError(f"noise sharing {mode!r}: use paper, noise or variance_preserving")
