"""How well a pack's autoencoder reproduces footage: what it cannot reproduce, no model behind it can draw."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL

from mvmodel.picture_size import PictureSize

_MIN_CONTRAST = 1e-3
"""Variance below which pictures count as plain, whose SNR says nothing."""


@torch.no_grad()
def measure_reconstruction(vae: AutoencoderKL, frames: np.ndarray, size: PictureSize) -> float:
    """The mean of PSNR and SNR, in dB, of frames that went through the autoencoder at a size.

    PSNR alone is high for dull or blurred pictures of any kind, in which there is little to reproduce.

    frames: uint8 RGB (frames, height, width, 3), of any size.
    """
    resized = np.stack([cv2.resize(frame, (size.width, size.height), interpolation=cv2.INTER_AREA) for frame in frames])
    pictures = torch.from_numpy(resized).to(vae.device).permute(0, 3, 1, 2).float() / 127.5 - 1
    decoded = vae.decode(vae.encode(pictures.to(vae.dtype)).latent_dist.mean).sample.float().clamp(-1, 1)
    errors = ((pictures - decoded) ** 2).mean(dim=(1, 2, 3))
    contrast = pictures.var(dim=(1, 2, 3)).clamp(min=_MIN_CONTRAST)
    return float((5 * torch.log10(4 / errors) + 5 * torch.log10(contrast / errors)).mean())
