"""The tiny ControlNet: conditions the tiny UNet on a mask image (white foreground on black)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel

from mvmodel.backends.image_unet.first_frame import build_controlnet_pipeline
from mvmodel.foundation.text_to_image import (
    PICTURE_COUNT,
    CachedLatents,
    TextToImageModels,
    cache_latents,
    decode_latents,
    encode_prompts,
    grid_prompts,
)
from mvmodel.foundation.warm_start import load_matching_weights
from mvmodel.training.cpu_kernels import use_float32_group_norm
from mvmodel.training.loop import train
from mvmodel.training.optimizer import LoopConfig
from mvmodel.video.contact_sheet import contact_sheet
from mvmodel.world.render import HELD_OUT, render_stills

CONTROLNET_LOOP = LoopConfig(
    steps=800, batch=24, lr=7e-4, warmup=50, ema=0.99, final_lr=0.05, checkpoint_every=200, sample_every=800
)
TEXT_DROPOUT = 0.1
WITHOUT_MOTION = 0.5
"""Share of captions whose motion is left out: a mask may ask for any pose, whatever the prompt says of it."""


def build_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet that starts from the UNet's own encoder; its output convolutions start at zero."""
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 32, 64))


class _Controlled(torch.nn.Module):
    """Frozen UNet and trainable ControlNet in one forward."""

    def __init__(self, unet: UNet2DConditionModel, controlnet: ControlNetModel) -> None:
        super().__init__()
        self.controlnet = controlnet
        self._unet = [unet]  # in a list, so that the frozen weights are no part of this module

    def forward(self, noisy: torch.Tensor, t: torch.Tensor, text: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        down, mid = self.controlnet(noisy, t, text, mask.expand(-1, 3, -1, -1), return_dict=False)
        return self._unet[0](
            noisy, t, text, down_block_additional_residuals=down, mid_block_additional_residual=mid
        ).sample


def high_timesteps(count: int, generator: torch.Generator) -> torch.Tensor:
    """Timesteps 0..999 with most weight at high noise, where a layout is decided."""
    u = torch.sigmoid(torch.randn(count, generator=generator) * 1.2 + 0.8)
    return (u * 1000).long().clamp(0, 999)


@torch.no_grad()
def embed_captions(
    text_encoder: CLIPTextModel, tokenizer: Any, captions: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Text embeddings of the distinct captions, (distinct, tokens, width), and each caption's row among them."""
    distinct = {caption: row for row, caption in enumerate(dict.fromkeys(captions))}
    ids = encode_prompts(tokenizer, list(distinct))
    table = torch.cat([text_encoder(part)[0] for part in ids.split(256)])
    return table, torch.tensor([distinct[caption] for caption in captions])


def train_controlnet(
    folder: Path,
    models: TextToImageModels,
    cache: Path,
    config: LoopConfig = CONTROLNET_LOOP,
    pictures: int = PICTURE_COUNT,
    start: Path | None = None,
    evaluation_pictures: int | None = None,
    sampling_steps: int = 20,
) -> ControlNetModel:
    """Train the ControlNet on the latents cached in `cache`; the UNet and the text encoder stay frozen.

    Every sample draws `evaluation_pictures` pictures, one of each object for None, in `sampling_steps` denoising steps.
    """
    use_float32_group_norm()
    torch.manual_seed(config.seed)
    vae, unet = models.vae, models.unet.requires_grad_(False).eval()
    text_encoder, tokenizer, scheduler = models.text_encoder, models.tokenizer, models.scheduler
    controlnet = build_controlnet(unet)
    if start is not None:
        load_matching_weights(controlnet, start / "controlnet")
    for model in (unet, controlnet):
        model.set_attn_processor(AttnProcessor())  # type: ignore[arg-type]
        model.to(memory_format=torch.channels_last)
    data: CachedLatents = cache_latents(vae, cache, pictures)
    table, row_of = embed_captions(text_encoder, tokenizer, ["", *data.captions, *data.captions_without_motion])

    def batch(index: int) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(config.seed * 1_000_033 + index)
        rows = torch.randint(len(data.latents), (config.batch,), generator=generator)
        clean = data.latents[rows].float()
        noise = torch.randn(clean.shape, generator=generator)
        t = high_timesteps(config.batch, generator)
        keep = torch.rand(config.batch, generator=generator) >= TEXT_DROPOUT
        unmoved = torch.rand(config.batch, generator=generator) < WITHOUT_MOTION
        text = table[row_of[(rows + 1 + unmoved * len(data.captions)) * keep]]
        noisy = scheduler.add_noise(clean, noise, t).contiguous(memory_format=torch.channels_last)
        return noisy, t, text, data.full_masks(rows), scheduler.get_velocity(clean, noise, t), data.masks[rows].float()

    def loss(
        net: torch.nn.Module, batch_tensors: tuple[torch.Tensor, ...], step: int
    ) -> tuple[torch.Tensor, dict[str, float]]:
        noisy, t, text, mask, target, soft = batch_tensors
        error = (net(noisy, t, text, mask).float() - target).square()
        return (error * (1 + soft)).mean(), {"plain": float(error.detach().mean())}

    def sample(_: torch.nn.Module, png: Path) -> None:
        prompts = grid_prompts()[:evaluation_pictures]
        masks = np.stack([s.mask for s in render_stills(HELD_OUT, 500, len(prompts), second_object=0)])
        parts = (vae, unet, controlnet, text_encoder, tokenizer, scheduler)
        frames = sample_first_frames(*parts, prompts, masks, steps=sampling_steps)
        contact_sheet(draw_outlines(frames, masks)).save(png)

    net = _Controlled(unet, controlnet)
    train("controlnet", net, batch, loss, config, folder, sample)
    controlnet.set_default_attn_processor()
    controlnet.save_pretrained(folder / "controlnet")
    return controlnet


@torch.no_grad()
def sample_first_frames(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    controlnet: ControlNetModel,
    text_encoder: CLIPTextModel,
    tokenizer: Any,
    scheduler: DDIMScheduler,
    prompts: list[str],
    masks: np.ndarray,
    seed: int = 5,
    steps: int = 20,
    guidance: float = 3.0,
) -> np.ndarray:
    """Sample pictures on masks, bool (n, 128, 128), with diffusers' own ControlNet pipeline; uint8 (n, 128, 128, 3)."""
    pipeline = build_controlnet_pipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        controlnet=controlnet,
        scheduler=scheduler,
    )
    out = pipeline(
        prompts,
        image=torch.from_numpy(masks).float()[:, None].expand(-1, 3, -1, -1),
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(seed),
        output_type="latent",
        height=masks.shape[1],
        width=masks.shape[2],
    )
    return decode_latents(vae, out.images)


def draw_outlines(pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Draw the outline of each mask on its picture."""
    out = pictures.copy()
    for picture, mask in zip(out, masks, strict=True):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, (255, 0, 200), 1)
    return out
