"""The tiny autoencoder: AutoencoderKL, 8x down, 8 latent channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from mvmodel.foundation.warm_start import load_matching_weights
from mvmodel.training.cpu_kernels import use_float32_group_norm
from mvmodel.training.loop import train
from mvmodel.training.optimizer import LoopConfig
from mvmodel.video.contact_sheet import contact_sheet
from mvmodel.video.tensors import frames_to_tensor, tensor_to_frames
from mvmodel.world.render import HELD_OUT, TRAIN, render_stills

AUTOENCODER_LOOP = LoopConfig(
    steps=3800, batch=24, lr=2e-3, warmup=150, ema=0.997, checkpoint_every=500, sample_every=950
)
WHOLE_FROM = 0.68
"""Share of the steps after which training goes from crops around objects to whole pictures."""
KL_WEIGHT = 1e-6
TINT_WEIGHT = 20.0
"""Of the squared error of 32x32-pixel means: what eyes see as a tint over a whole scene, and L1 hardly does."""
LATENT_CHANNELS = 8
OBJECT_WEIGHT = 2.5


def build_autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 144),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=128,
        mid_block_add_attention=False,
    )


def _crop(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        rows, columns = np.array([64]), np.array([64])
    centre = rows.mean() + rng.normal(0, 8), columns.mean() + rng.normal(0, 8)
    top, left = (int(np.clip(c - side / 2, 0, image.shape[0] - side)) for c in centre)
    return image[top : top + side, left : left + side], mask[top : top + side, left : left + side]


def make_batch(index: int, config: LoopConfig, whole_pictures: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures in -1..1, (batch, 3, side, side), and object weights (batch, 1, side, side)."""
    count = config.batch // 3 if whole_pictures else config.batch
    rng = np.random.default_rng((config.seed, index))
    pictures, masks = [], []
    for still in render_stills(TRAIN, 10_000_000 + index * config.batch, count):
        picture, mask = (still.image, still.mask) if whole_pictures else _crop(still.image, still.mask, rng, 64)
        pictures.append(picture)
        masks.append(mask)
    x = frames_to_tensor(np.stack(pictures))
    weight = 1 + (OBJECT_WEIGHT - 1) * torch.from_numpy(np.stack(masks)).float()[:, None]
    return x.contiguous(memory_format=torch.channels_last), weight


def reconstruction_loss(difference: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """L1 + 2 L2 + 0.5 L1 of the gradients, weighted, + tints; difference (n, 3, h, w), weight (n, 1, h, w)."""
    pixel = ((difference.abs() + 2 * difference.square()) * weight).mean()
    dx = (difference[..., 1:] - difference[..., :-1]).abs() * weight[..., 1:]
    dy = (difference[..., 1:, :] - difference[..., :-1, :]).abs() * weight[..., 1:, :]
    tint = torch.nn.functional.avg_pool2d(difference, 32).square().mean()
    return pixel + 0.5 * (dx.mean() + dy.mean()) + TINT_WEIGHT * tint


def compute_loss(
    vae: torch.nn.Module, data: tuple[torch.Tensor, torch.Tensor], step: int
) -> tuple[torch.Tensor, dict[str, float]]:
    x, weight = data
    out, mean, logvar = vae(x)
    out = out.float()
    difference = out - x
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(dim=(1, 2, 3)).mean()
    mse = difference.detach().square().mean() / 4
    return reconstruction_loss(difference, weight) + KL_WEIGHT * kl, {
        "psnr": float(-10 * torch.log10(mse)),
        "kl": float(kl.detach()),
    }


class _AutoencoderStep(torch.nn.Module):
    """encode, sample, decode in one forward, so that the loop's autocast wraps all of it."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        posterior = self.vae.encode(x).latent_dist
        latents = posterior.mean + posterior.std * torch.randn_like(posterior.mean)
        return self.vae.decode(latents).sample, posterior.mean.float(), posterior.logvar.float()


@torch.no_grad()
def measure_reconstruction(vae: AutoencoderKL, count: int = 96) -> dict[str, float]:
    """PSNR in dB on held-out renders: of whole pictures, and inside the objects' masks.

    psnr, psnr_object: the mean over pictures, as PSNR is mostly averaged. psnr_pooled, psnr_object_pooled: of the mean
    squared error over all of them, which the worst pictures decide.
    """
    picture_errors, object_errors, one_by_one = [], [], []
    for start in range(0, count, 16):
        x, mask = render_pictures(HELD_OUT, start, min(16, count - start))
        out = vae.decode(vae.encode(x).latent_dist.mode()).sample.float().clamp(-1, 1)
        error = (out - x).square().mean(dim=1) / 4
        picture_errors.append(error.mean(dim=(1, 2)))
        object_errors.append(error[mask])
        one_by_one += [
            error_map[object_mask].mean()
            for error_map, object_mask in zip(error, mask, strict=True)
            if object_mask.any()
        ]

    def decibels(errors: torch.Tensor) -> float:
        return float((-10 * torch.log10(errors)).mean())

    return {
        "psnr": decibels(torch.cat(picture_errors)),
        "psnr_object": decibels(torch.stack(one_by_one)),
        "psnr_pooled": decibels(torch.cat(picture_errors).mean()),
        "psnr_object_pooled": decibels(torch.cat(object_errors).mean()),
    }


def render_pictures(
    split: int, start: int, count: int, second_object: float = 0.1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rendered pictures in -1..1, (count, 3, 128, 128), and their masks, bool (count, 128, 128)."""
    rendered_stills = list(render_stills(split, start, count, second_object=second_object))
    x = frames_to_tensor(np.stack([s.image for s in rendered_stills]))
    return x, torch.from_numpy(np.stack([s.mask for s in rendered_stills]))


def train_autoencoder(
    folder: Path,
    config: LoopConfig = AUTOENCODER_LOOP,
    start: Path | None = None,
    evaluation_pictures: int = 32,
) -> AutoencoderKL:
    """Train the autoencoder; its `scaling_factor` is set so that latents have unit variance.

    From a `start`, which has seen its crops, whole pictures only. With every sample, the reconstruction of
    `evaluation_pictures` held-out pictures is measured.
    """
    use_float32_group_norm()
    torch.manual_seed(config.seed)
    vae = build_autoencoder()
    if start is not None:
        load_matching_weights(vae, start / "vae")
    vae.to(memory_format=torch.channels_last)
    step = _AutoencoderStep(vae)

    def sample(model: torch.nn.Module, png: Path) -> dict[str, float]:
        save_reconstruction_grid(vae, png)
        return measure_reconstruction(vae, evaluation_pictures)

    whole_from = 0 if start is not None else WHOLE_FROM * config.steps
    train("vae", step, lambda i: make_batch(i, config, i >= whole_from), compute_loss, config, folder, sample)
    x, _ = render_pictures(TRAIN, 0, 128)
    with torch.no_grad():
        latents = vae.encode(x).latent_dist.mode()
    vae.register_to_config(scaling_factor=float(1 / latents.std()))
    vae.save_pretrained(folder / "model")
    return vae


@torch.no_grad()
def save_reconstruction_grid(vae: AutoencoderKL, png: Path) -> None:
    """Held-out pictures above their copies."""
    x, _ = render_pictures(HELD_OUT, 0, 8)
    out = vae.decode(vae.encode(x).latent_dist.mode()).sample.float().clamp(-1, 1)
    contact_sheet(tensor_to_frames(torch.cat([x, out])), columns=len(x)).save(png)
