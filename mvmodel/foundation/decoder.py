"""The autoencoder's decoder, trained on with the encoder fixed: latents, and all that was trained on them, stay valid.

It sees whole pictures only. Crops teach objects, but the tint and light of a whole scene only whole scenes can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL

from mvmodel.foundation.text_to_image import SECOND_OBJECT
from mvmodel.foundation.vae import measure_reconstruction, reconstruction_loss, save_reconstruction_grid
from mvmodel.training.cpu_kernels import use_float32_group_norm
from mvmodel.training.loop import train
from mvmodel.training.optimizer import LoopConfig
from mvmodel.video.tensors import frames_to_tensor
from mvmodel.world.render import TRAIN, render_stills

DECODER_LOOP = LoopConfig(
    steps=1600, batch=8, lr=1e-3, warmup=60, ema=0.995, final_lr=0.02, checkpoint_every=400, sample_every=800
)
OBJECT_WEIGHT = 1.6


class _Decoder(torch.nn.Module):
    """Frozen encoder, trained decoder."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.post_quant_conv, self.decoder = vae.post_quant_conv, vae.decoder
        self._vae = [vae]  # in a list, so that the frozen half is no part of this module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            latents = self._vae[0].encode(x).latent_dist.mode()
        out: torch.Tensor = self.decoder(self.post_quant_conv(latents))
        return out


def make_batch(index: int, config: LoopConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole pictures in -1..1, (batch, 3, 128, 128), and object weights (batch, 1, 128, 128)."""
    stills = list(render_stills(TRAIN, 40_000_000 + index * config.batch, config.batch, second_object=SECOND_OBJECT))
    x = frames_to_tensor(np.stack([s.image for s in stills]))
    weight = 1 + (OBJECT_WEIGHT - 1) * torch.from_numpy(np.stack([s.mask for s in stills])).float()[:, None]
    return x.contiguous(memory_format=torch.channels_last), weight


def compute_loss(
    net: torch.nn.Module, data: tuple[torch.Tensor, ...], step: int
) -> tuple[torch.Tensor, dict[str, float]]:
    x, weight = data
    difference = net(x).float() - x
    mse = difference.detach().square().mean() / 4
    return reconstruction_loss(difference, weight), {"psnr": float(-10 * torch.log10(mse))}


def train_decoder(
    folder: Path,
    vae: AutoencoderKL,
    config: LoopConfig = DECODER_LOOP,
    start: Path | None = None,
    evaluation_pictures: int = 32,
) -> AutoencoderKL:
    """Train the decoder of `vae`, in place, and write the whole autoencoder to `folder`/model.

    With every sample, the reconstruction of `evaluation_pictures` held-out pictures is measured.
    """
    use_float32_group_norm()
    torch.manual_seed(config.seed)
    vae.requires_grad_(False).to(memory_format=torch.channels_last)
    net = _Decoder(vae)
    net.requires_grad_(True)

    def sample(_: torch.nn.Module, png: Path) -> dict[str, Any]:
        save_reconstruction_grid(vae, png)
        return measure_reconstruction(vae, evaluation_pictures)

    train("decoder", net, lambda i: make_batch(i, config), compute_loss, config, folder, sample)
    vae.save_pretrained(folder / "model")
    return vae
