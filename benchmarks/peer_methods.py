"""Other ways to a video on the same pack, each a function of a request. What trains, trains on the same clips.

Every method has the pack's own models, the same denoising steps and guidance, and, where it takes a first frame, the
same one. Where a method of the literature has no mask, a second row gives it the pack's ControlNet on every mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.experiments.cells import Task
from mvmodel.files import atomic_write
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapter
from mvmodel.video.tensors import to_uint8

if TYPE_CHECKING:
    from mvmodel.packs import Pack

MakeVideo = Callable[[Task, np.ndarray], np.ndarray]
"""(request, first frame uint8 (H, W, 3)) -> uint8 (F, H, W, 3)."""
LAMP_LR = 1e-4


def repeat_first_frame(task: Task, first: np.ndarray) -> np.ndarray:
    """The first frame, standing still: the ceiling of every consistency."""
    return np.repeat(first[None], len(task.masks), axis=0)


def load_parts(pack: Pack, *names: str) -> dict[str, Any]:
    """The pack's models as a pipeline's arguments, without safety checker."""
    models = {name: getattr(pack, name)() for name in ("vae", "text_encoder", "tokenizer", "scheduler", *names)}
    return {**models, "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def hide_progress_bar(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def control(masks: np.ndarray) -> torch.Tensor:
    """Masks as a ControlNet takes them, float (F, 3, H, W), white on black."""
    return torch.from_numpy(np.ascontiguousarray(masks)).float()[:, None].repeat(1, 3, 1, 1)


def frame_by_frame(pack: Pack, config: GenerationConfig, with_masks: bool) -> MakeVideo:
    """The base text-to-image model, every frame from noise of its own; with_masks: under ControlNet on its mask."""
    from diffusers import StableDiffusionControlNetPipeline, StableDiffusionPipeline

    if with_masks:
        pipeline = hide_progress_bar(StableDiffusionControlNetPipeline(**load_parts(pack, "unet", "controlnet")))
    else:
        pipeline = hide_progress_bar(StableDiffusionPipeline(**load_parts(pack, "unet")))

    def make(task: Task, first: np.ndarray) -> np.ndarray:
        count, (height, width) = len(task.masks), task.masks.shape[1:]
        own = [torch.Generator().manual_seed(task.seed * 1000 + i) for i in range(count)]
        mask_images = {"image": control(task.masks)} if with_masks else {"height": height, "width": width}
        out = pipeline([task.prompt] * count, generator=own, **mask_images, **_sampling(config)).images
        return to_uint8(out)

    return make


def text2video_zero(pack: Pack, config: GenerationConfig, with_masks: bool) -> MakeVideo:
    """Text2Video-Zero: one noise for all frames, keys and values of frame 1; with_masks: under ControlNet.

    Without masks it is diffusers' pipeline, which moves the noise along a straight line; with them, as its authors do
    with pose and edges, the masks give the motion.
    """
    from diffusers import StableDiffusionControlNetPipeline, TextToVideoZeroPipeline
    from diffusers.pipelines.deprecated.text_to_video_synthesis.pipeline_text_to_video_zero import (
        CrossFrameAttnProcessor2_0,
    )

    if not with_masks:
        pipeline = hide_progress_bar(TextToVideoZeroPipeline(**load_parts(pack, "unet")))
        near = min(round(0.88 * config.steps), config.steps - 2)  # its default, 44 and 47 of 50 steps
        far = min(max(near + 1, round(0.94 * config.steps)), config.steps - 1)

        def zero(task: Task, first: np.ndarray) -> np.ndarray:
            height, width = task.masks.shape[1:]
            sampling = {**_sampling(config), "video_length": len(task.masks), "height": height, "width": width}
            own = torch.Generator().manual_seed(task.seed)
            return to_uint8(pipeline(task.prompt, generator=own, t0=near, t1=far, **sampling).images)

        return zero

    controlled = hide_progress_bar(StableDiffusionControlNetPipeline(**load_parts(pack, "unet", "controlnet")))

    def make(task: Task, first: np.ndarray) -> np.ndarray:
        models = (controlled.unet, controlled.controlnet)
        before = [dict(model.attn_processors) for model in models]
        shape = (1, controlled.unet.config.in_channels, *(side // pack.latent_factor for side in task.masks.shape[1:]))
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(task.seed))
        count = len(task.masks)
        try:
            for model in models:
                model.set_attn_processor(CrossFrameAttnProcessor2_0(batch_size=2))
            out = controlled(
                [task.prompt] * count,
                image=control(task.masks),
                latents=noise.repeat(count, 1, 1, 1),
                **_sampling(config),
            ).images
        finally:
            for model, processors in zip(models, before, strict=True):
                model.set_attn_processor(processors)
        return to_uint8(out)

    return make


def _sampling(config: GenerationConfig) -> dict[str, Any]:
    return {
        "num_inference_steps": config.steps,
        "guidance_scale": max(config.guidance_scale or 1.0, 1.01),
        "output_type": "np",
    }


def build_motion_modules(unet: Any, heads: int = 4) -> Any:
    """Fresh motion modules of AnimateDiff for a UNet."""
    from diffusers import MotionAdapter

    return MotionAdapter(
        block_out_channels=tuple(unet.config.block_out_channels),
        motion_layers_per_block=unet.config.layers_per_block,
        motion_num_attention_heads=heads,
        motion_norm_num_groups=unet.config.norm_num_groups,
        use_motion_mid_block=True,
    )


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
    moving = UNetMotionModel.from_unet2d(unet, modules)
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
            **_sampling(config),
        ).frames[0]
        return to_uint8(out)

    def with_masks(task: Task, first: np.ndarray) -> np.ndarray:
        from PIL import Image

        mask_images = [Image.fromarray(mask.astype(np.uint8) * 255).convert("RGB") for mask in task.masks]
        return run(controlled, task, conditioning_frames=mask_images)

    return lambda task, first: run(text_pipeline, task), with_masks


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
    groups = adapter.parameter_groups()

    def step(drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        latents, masks, text, noise, timesteps, keep, *_ = drawn
        return denoising_loss(unet, adapter, scheduler, latents, masks, text, noise, timesteps, torch.zeros_like(keep))

    with attach_adapter(unet, adapter), math_attention():
        _train(pack, clips, training, [*groups["query"], *groups["temporal"]], step, work, weights_file)
    pipeline = build_pipeline(pack, None, config)
    pipeline.load_adapter(adapter.eval(), "lamp-like")

    def make(task: Task, first: np.ndarray) -> np.ndarray:
        from mvmodel.backends.image_unet.long_video import pipeline_options

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
    with math_attention():
        for index in range(training.steps):
            loss = step(draw_batch(data, training, index, pack.scheduler().config.num_train_timesteps))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
    with atomic_write(weights_file) as temporary_file:
        save_file({f"{i:05}": own.detach().contiguous().clone() for i, own in enumerate(weights)}, temporary_file)
