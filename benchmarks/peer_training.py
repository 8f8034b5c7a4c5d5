"""Peers of `benchmarks.peers` that are trained on the clips: AnimateDiff's motion modules, and a method like LAMP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.peer_methods import MakeVideo, build_motion_modules, hide_progress_bar, sampling_options
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.image_unet.long_video import pipeline_options
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.experiments.cells import Task
from mvmodel.files import atomic_write
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapter
from mvmodel.video.tensors import to_uint8

if TYPE_CHECKING:
    from mvmodel.packs import Pack

LAMP_LR = 1e-4


def train_animatediff(
    pack: Pack,
    clips: Sequence[TrainingClip],
    training: TrainConfig,
    config: GenerationConfig,
    work: Path,
    weights_file: Path,
) -> tuple[MakeVideo, MakeVideo]:
    """AnimateDiff's motion modules, trained on the clips with the UNet frozen: (text alone, under ControlNet)."""
    from diffusers import AnimateDiffControlNetPipeline, AnimateDiffPipeline, UNetMotionModel

    unet = pack.unet()
    torch.manual_seed(training.seed)
    modules = build_motion_modules(unet)
    for name, weights in modules.named_parameters():
        if "proj_out" in name:  # a fresh module would otherwise change every picture from the first step on
            torch.nn.init.zeros_(weights)
    moving = UNetMotionModel.from_unet2d(unet, modules).to(pack.device)
    moving.freeze_unet2d_params()
    trainable = [weights for weights in moving.parameters() if weights.requires_grad]

    def loss(latents: torch.Tensor, text: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        from mvmodel.backends.image_unet.loss import training_target

        scheduler, frames = pack.scheduler(), latents.shape[1]
        t = timesteps.repeat_interleave(frames)
        flat, flat_noise = latents.flatten(0, 1), noise.flatten(0, 1)
        noisy = scheduler.add_noise(flat, flat_noise, t).unflatten(0, latents.shape[:2]).transpose(1, 2)
        out = moving(noisy, timesteps, encoder_hidden_states=text.repeat_interleave(frames, dim=0)).sample
        target = training_target(scheduler, flat, flat_noise, t).unflatten(0, latents.shape[:2]).transpose(1, 2)
        return torch.nn.functional.mse_loss(out.float(), target.float())

    def step(drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        latents, _, text, noise, timesteps, *_ = drawn
        return loss(latents, text, noise, timesteps)

    _train(pack, clips, training, trainable, step, work, weights_file)
    moving.eval()
    shared = {name: getattr(pack, name)() for name in ("vae", "text_encoder", "tokenizer", "scheduler")}
    text_pipeline = hide_progress_bar(AnimateDiffPipeline(unet=moving, motion_adapter=modules, **shared))
    controlled = hide_progress_bar(
        AnimateDiffControlNetPipeline(unet=moving, motion_adapter=modules, controlnet=pack.controlnet(), **shared)
    )

    def run(pipeline: Any, task: Task, **extra: Any) -> np.ndarray:
        height, width = task.masks.shape[1:]
        out = pipeline(
            task.prompt,
            num_frames=len(task.masks),
            height=height,
            width=width,
            generator=torch.Generator().manual_seed(task.seed),
            **extra,
            **sampling_options(config),
        ).frames[0]
        return to_uint8(out)

    def with_masks(task: Task, first: np.ndarray, latents: np.ndarray) -> np.ndarray:
        from PIL import Image

        mask_images = [Image.fromarray(mask.astype(np.uint8) * 255).convert("RGB") for mask in task.masks]
        return run(controlled, task, conditioning_frames=mask_images)

    return lambda task, first, latents: run(text_pipeline, task), with_masks


class _Convolved(torch.nn.Module):
    """Temporal attention after a causal convolution along the frames, as LAMP has one; frame 1 is left as it is."""

    def __init__(self, attention: torch.nn.Module, channels: int) -> None:
        super().__init__()
        self.attention = attention
        self.convolution = torch.nn.Conv3d(channels, channels, (3, 1, 1))
        self.gate = torch.nn.Conv2d(channels, 1, 1)
        for weights in self.convolution.parameters():
            torch.nn.init.zeros_(weights)

    def forward(self, hidden: torch.Tensor, context: Any, name: str, scale: float = 1.0) -> torch.Tensor:
        frames = hidden.unflatten(0, (-1, context.frames)).transpose(1, 2)  # (B, C, F, h, w)
        before = torch.nn.functional.pad(frames, (0, 0, 0, 0, 2, 0))
        change = self.convolution(before).transpose(1, 2).flatten(0, 1) * torch.sigmoid(self.gate(hidden))
        later = torch.arange(len(hidden), device=hidden.device) % context.frames != 0
        changed = hidden + scale * change * later[:, None, None, None].to(hidden.dtype)
        out: torch.Tensor = self.attention(changed, context, name, scale)
        return out


def train_lamp_like(
    pack: Pack,
    clips: Sequence[TrainingClip],
    training: TrainConfig,
    config: GenerationConfig,
    work: Path,
    weights_file: Path,
) -> MakeVideo:
    """Our adapter without mask term, with a gated causal convolution along the frames: LAMP's parts, our code.

    Trained from nothing: queries, temporal attention and convolution; frame 1 clean, loss on the later frames.
    """
    from mvmodel.backends.image_unet.loss import denoising_loss
    from mvmodel.training.cpu_kernels import math_attention

    unet, scheduler = pack.unet().requires_grad_(False), pack.scheduler()
    torch.manual_seed(training.seed)
    adapter = MotionMaskAdapter.for_unet(unet, patch=pack.latent_factor)
    for name, channels in adapter.config.transformers.items():
        key = name.replace(".", "-")
        adapter.temporal[key] = _Convolved(adapter.temporal[key], channels)
    adapter.to(pack.device)
    groups = adapter.parameter_groups()

    def step(drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        latents, masks, text, noise, timesteps, keep, *_ = drawn
        return denoising_loss(unet, adapter, scheduler, latents, masks, text, noise, timesteps, torch.zeros_like(keep))

    with attach_adapter(unet, adapter), math_attention(pack.device):
        _train(pack, clips, training, [*groups["query"], *groups["temporal"]], step, work, weights_file)
    pipeline = build_pipeline(pack, None, config)
    pipeline.load_adapter(adapter.eval(), "lamp-like")

    def make(task: Task, first: np.ndarray, latents: np.ndarray) -> np.ndarray:
        options = {**pipeline_options(config), "cache_first_frame": False}  # the convolution reads frame 1 itself
        own = torch.Generator().manual_seed(task.seed)
        frames = to_uint8(pipeline(task.prompt, task.masks, first, mask_term=False, generator=own, **options).frames[0])
        frames[0] = first
        return frames

    return make


def _train(
    pack: Pack,
    clips: Sequence[TrainingClip],
    training: TrainConfig,
    weights: list[torch.nn.Parameter],
    step: Callable[[tuple[torch.Tensor, ...]], torch.Tensor],
    work: Path,
    weights_file: Path,
) -> None:
    """`training.steps` steps of AdamW over the same draws of clips, timesteps and noise that our adapter sees.

    kept: the file that the trained weights are kept in; where an earlier run left it, it is read instead.
    """
    from safetensors.torch import load_file, save_file

    from mvmodel.backends.image_unet.latents import cache_training_latents, draw_batch
    from mvmodel.training.cpu_kernels import math_attention

    if weights_file.exists():
        with torch.no_grad():
            for own, (_, stored_weights) in zip(weights, sorted(load_file(weights_file).items()), strict=True):
                own.copy_(stored_weights)
        return

    data = cache_training_latents(pack, clips, work / "latents.safetensors", training.flip)
    optimiser = torch.optim.AdamW(weights, lr=LAMP_LR, weight_decay=training.weight_decay)
    with math_attention(pack.device):
        for index in range(training.steps):
            drawn = draw_batch(data, training, index, pack.scheduler().config.num_train_timesteps)
            loss = step(tuple(part.to(pack.device) for part in drawn))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
    with atomic_write(weights_file) as temporary_file:
        save_file({f"{i:05}": own.detach().cpu().contiguous().clone() for i, own in enumerate(weights)}, temporary_file)
