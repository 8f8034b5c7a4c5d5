"""The tiny text-to-image model: CLIPTextModel and UNet2DConditionModel, trained together on cached latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from mvmodel.files import atomic_write
from mvmodel.foundation.tokenizer import MAX_TOKENS, build_tokenizer
from mvmodel.foundation.warm_start import load_matching_weights
from mvmodel.training.cpu_kernels import use_float32_group_norm
from mvmodel.training.loop import train
from mvmodel.training.optimizer import LoopConfig
from mvmodel.video.contact_sheet import contact_sheet
from mvmodel.video.tensors import frames_to_tensor, tensor_to_frames
from mvmodel.world.render import TRAIN, compose_caption, render_stills
from mvmodel.world.scenes import BACKGROUNDS
from mvmodel.world.sprites import OBJECTS

TEXT_TO_IMAGE_LOOP = LoopConfig(
    steps=3400, batch=32, lr=9e-4, warmup=150, ema=0.998, final_lr=0.02, checkpoint_every=500, sample_every=850
)
PICTURE_COUNT = 40_000
"""How many different renders the latents are cached of; a few thousand are seen so often that objects blur."""
TEXT_DROPOUT = 0.1
LATENT_SIZE = (16, 16)
OBJECT_WEIGHT = 2.0
SHAPE_WEIGHT = 4.0
SHAPE_BELOW = 650
"""Below this timestep the loss weighs the object by `SHAPE_WEIGHT`: its place is settled there, its outline is not.
Above it so much weight would draw objects everywhere."""
SECOND_OBJECT = 0.4
"""Share of pictures with two objects."""
STANDING = 0.8
"""Share of the pictures without a motion in their caption that show objects upright, facing as the sprites do. Where
every pose is as likely, the first denoising steps settle on the mean of left and right, and shapes stay blurred."""


def build_scheduler() -> DDIMScheduler:
    """Zero terminal SNR: without it the brightness of a night cannot be told from that of snow."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


def build_text_encoder(tokenizer: Any) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=128,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_unet(channels: int) -> UNet2DConditionModel:
    """channels: of the latents."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(64, 128, 160),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=128,
        attention_head_dim=(2, 4, 4),  # diffusers reads these as numbers of heads
        norm_num_groups=16,
    )


@dataclass(frozen=True)
class TextToImageModels:
    """The trained models of a foundation folder, as the stages above them need them, frozen."""

    vae: Any
    unet: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any


@dataclass
class CachedLatents:
    """Scaled latents float16 (n, channels, 16, 16), soft object masks float16 (n, 1, 16, 16), captions, the same
    without a motion, and the masks at full size as packed bits, uint8 (n, 128 * 128 / 8)."""

    latents: torch.Tensor
    masks: torch.Tensor
    captions: list[str]
    captions_without_motion: list[str]
    bits: torch.Tensor

    def full_masks(self, rows: torch.Tensor) -> torch.Tensor:
        """Masks of some rows, float 0/1 (rows, 1, 128, 128)."""
        bits = np.unpackbits(self.bits[rows].numpy(), axis=1).astype(np.float32)
        side = int(bits.shape[1] ** 0.5)
        return torch.from_numpy(bits).view(-1, 1, side, side)


@torch.no_grad()
def cache_latents(vae: AutoencoderKL, folder: Path, count: int = PICTURE_COUNT, start: int = 0) -> CachedLatents:
    """Encode `count` training renders once; later calls read the file."""
    file = folder / f"latents-{start}-{count}.safetensors"
    if not file.exists():
        latents, masks, bits, captions = [], [], [], []
        for first in range(start, start + count, 50):
            batch = min(50, start + count - first)
            stills = list(render_stills(TRAIN, first, batch, second_object=SECOND_OBJECT, standing=STANDING))
            captions += [f"{s.caption}\t{compose_caption(s.objects, s.background)}" for s in stills]
            x = frames_to_tensor(np.stack([s.image for s in stills]))
            with torch.autocast("cpu", torch.bfloat16):
                code = vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mode()
            latents.append((code.float() * vae.config.scaling_factor).half())
            mask = torch.from_numpy(np.stack([s.mask for s in stills])).float()[:, None]
            bits.append(torch.from_numpy(np.packbits(np.stack([s.mask.reshape(-1) for s in stills]), axis=1)))
            masks.append(torch.nn.functional.adaptive_avg_pool2d(mask, code.shape[-2:]).half())
            if (first // 50) % 40 == 0:
                print(f"latents {first - start}/{count}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(file.with_suffix(".txt")) as temporary_file:
            temporary_file.write_text("\n".join(captions))
        with atomic_write(file) as temporary_file:
            parts = {"latents": torch.cat(latents), "masks": torch.cat(masks), "bits": torch.cat(bits)}
            save_file({name: part.contiguous() for name, part in parts.items()}, temporary_file)
    data = load_file(file)
    lines = [line.split("\t") for line in file.with_suffix(".txt").read_text().split("\n")]
    captions, captions_without_motion = [line[0] for line in lines], [line[1] for line in lines]
    return CachedLatents(data["latents"], data["masks"], captions, captions_without_motion, data["bits"])


class TextToImage(torch.nn.Module):
    """Text encoder and UNet in one forward, as they are trained."""

    def __init__(self, text_encoder: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.unet = unet

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        text = self.text_encoder(ids)[0]
        return self.unet(noisy, timesteps, encoder_hidden_states=text).sample


def draw_timesteps(count: int, generator: torch.Generator) -> torch.Tensor:
    """Logit-normal timesteps 0..999: most of the work where shapes are decided."""
    u = torch.sigmoid(torch.randn(count, generator=generator) * 1.1 + 0.3)
    return (u * 1000).long().clamp(0, 999)


def train_text_to_image(
    folder: Path,
    vae: AutoencoderKL,
    config: LoopConfig = TEXT_TO_IMAGE_LOOP,
    pictures: int = PICTURE_COUNT,
    start: Path | None = None,
    evaluation_pictures: int | None = None,
    sampling_steps: int = 20,
) -> TextToImage:
    """Train text encoder and UNet together on the latents of `pictures` renders.

    Every sample draws `evaluation_pictures` pictures, one of each object for None, in `sampling_steps` denoising steps.
    """
    use_float32_group_norm()
    torch.manual_seed(config.seed)
    tokenizer = build_tokenizer()
    scheduler = build_scheduler()
    model = TextToImage(build_text_encoder(tokenizer), build_unet(vae.config.latent_channels))
    if start is not None:
        load_matching_weights(model.text_encoder, start / "text_encoder")
        load_matching_weights(model.unet, start / "unet")
    model.unet.set_attn_processor(AttnProcessor())  # type: ignore[arg-type]  # flash attention's CPU backward is slow
    model.unet.to(memory_format=torch.channels_last)
    data = cache_latents(vae, folder, pictures)
    ids = encode_prompts(tokenizer, data.captions)
    empty = encode_prompts(tokenizer, [""])[0]

    def batch(index: int) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + index)
        rows = torch.randint(len(data.latents), (config.batch,), generator=generator)
        clean = data.latents[rows].float()
        noise = torch.randn(clean.shape, generator=generator)
        t = draw_timesteps(config.batch, generator)
        text = ids[rows].clone()
        text[torch.rand(config.batch, generator=generator) < TEXT_DROPOUT] = empty
        noisy = scheduler.add_noise(clean, noise, t).contiguous(memory_format=torch.channels_last)
        return noisy, t, text, scheduler.get_velocity(clean, noise, t), data.masks[rows].float()

    def loss(
        net: torch.nn.Module, batch_tensors: tuple[torch.Tensor, ...], step: int
    ) -> tuple[torch.Tensor, dict[str, float]]:
        noisy, t, text, target, mask = batch_tensors
        error = (net(noisy, t, text).float() - target).square()
        object_error = float((error.detach() * mask).sum() / mask.sum().clamp(min=1) / error.shape[1])
        extra_weight = torch.where(t < SHAPE_BELOW, SHAPE_WEIGHT - 1, OBJECT_WEIGHT - 1).view(-1, 1, 1, 1)
        return (error * (1 + extra_weight * mask)).mean(), {
            "plain": float(error.detach().mean()),
            "object": object_error,
        }

    prompts = grid_prompts()[:evaluation_pictures]

    def sample(_: torch.nn.Module, png: Path) -> None:
        pictures_ = sample_pictures(model, vae, tokenizer, scheduler, prompts, seed=5, steps=sampling_steps)
        contact_sheet(pictures_).save(png)

    train("text_to_image", model, batch, loss, config, folder, sample)
    model.unet.set_default_attn_processor()
    model.unet.save_pretrained(folder / "unet")
    model.text_encoder.save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    scheduler.save_pretrained(folder / "scheduler")
    return model


def encode_prompts(tokenizer: Any, prompts: Sequence[str]) -> torch.Tensor:
    """Token ids, (prompts, MAX_TOKENS)."""
    return tokenizer(
        list(prompts), padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
    ).input_ids


def grid_prompts() -> list[str]:
    backgrounds = list(BACKGROUNDS)
    return [compose_caption((name,), backgrounds[i % len(backgrounds)]) for i, name in enumerate(OBJECTS)]


@torch.no_grad()
def sample_pictures(
    model: TextToImage,
    vae: AutoencoderKL,
    tokenizer: Any,
    scheduler: DDIMScheduler,
    prompts: list[str],
    seed: int,
    steps: int = 20,
    guidance: float = 3.0,
) -> np.ndarray:
    """Sample one picture a prompt with DDIM; uint8 (prompts, 128, 128, 3)."""
    ids = encode_prompts(tokenizer, prompts)
    empty = encode_prompts(tokenizer, [""] * len(prompts))
    latents = torch.randn(
        (len(prompts), model.unet.config.in_channels, *LATENT_SIZE), generator=torch.Generator().manual_seed(seed)
    )
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        with torch.autocast("cpu", torch.bfloat16):
            out = model(torch.cat([latents, latents]), t.expand(2 * len(prompts)), torch.cat([empty, ids])).float()
        unconditional, conditioned = out.chunk(2)
        latents = scheduler.step(unconditional + guidance * (conditioned - unconditional), t, latents).prev_sample
    return decode_latents(vae, latents)


@torch.no_grad()
def decode_latents(vae: AutoencoderKL, latents: torch.Tensor) -> np.ndarray:
    """Scaled latents (n, channels, h, w) to uint8 pictures (n, 8h, 8w, 3)."""
    out = vae.decode(latents / vae.config.scaling_factor).sample.clamp(-1, 1)
    return tensor_to_frames(out)
