"""Other ways to a video on the same pack, each a function of a request. What trains, trains on the same clips.

Every method has the pack's own models, the same denoising steps and guidance, and, where it takes a first frame, the
same one. Where a method of the literature has no mask, a second row gives it the pack's ControlNet on every mask.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.image_unet.draft import draw_drafts
from mvmodel.backends.image_unet.long_video import pipeline_options
from mvmodel.experiments.cells import Task
from mvmodel.video.tensors import to_uint8

if TYPE_CHECKING:
    from mvmodel.packs import Pack

MakeVideo = Callable[[Task, np.ndarray, np.ndarray], np.ndarray]
"""(request, first frame uint8 (H, W, 3), its scaled latents float32 (C, h, w)) -> uint8 (F, H, W, 3)."""


def repeat_first_frame(task: Task, first: np.ndarray, latents: np.ndarray) -> np.ndarray:
    """The first frame, standing still: the ceiling of every consistency."""
    return np.repeat(first[None], len(task.masks), axis=0)


def draw_cut_out(task: Task, first: np.ndarray, latents: np.ndarray) -> np.ndarray:
    """Frame 1's object, deformed to fit every mask, in front of frame 1 without it."""
    drafts, _ = draw_drafts(first, [task.masks[0]], [task.masks[1:]])
    return np.concatenate([first[None], drafts])


def load_ours(pack: Pack, adapter: Path) -> Callable[..., np.ndarray]:
    """(generation settings, ...) as `MakeVideo` -> a video by an adapter.

    Frame 1 is the picture that the ControlNet decoded and its latents are passed on, so that all frames are decoded.
    """

    @functools.cache
    def build(config: str) -> Any:
        return build_pipeline(pack, adapter, GenerationConfig.model_validate_json(config))

    def make(config: GenerationConfig, task: Task, first: np.ndarray, latents: np.ndarray) -> np.ndarray:
        pipeline = build(config.model_dump_json(include={"scheduler", "control_frames", "steps", "guidance_scale"}))
        own = torch.Generator().manual_seed(task.seed)
        options = {**pipeline_options(config), "first_latents": torch.from_numpy(latents)[None], "generator": own}
        frames = to_uint8(pipeline(task.prompt, task.masks, first, **options).frames[0])
        frames[0] = first
        return frames

    return make


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

    def make(task: Task, first: np.ndarray, latents: np.ndarray) -> np.ndarray:
        count, (height, width) = len(task.masks), task.masks.shape[1:]
        own = [torch.Generator().manual_seed(task.seed * 1000 + i) for i in range(count)]
        mask_images = {"image": control(task.masks)} if with_masks else {"height": height, "width": width}
        out = pipeline([task.prompt] * count, generator=own, **mask_images, **sampling_options(config)).images
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

        def zero(task: Task, first: np.ndarray, latents: np.ndarray) -> np.ndarray:
            height, width = task.masks.shape[1:]
            sampling = {**sampling_options(config), "video_length": len(task.masks), "height": height, "width": width}
            own = torch.Generator().manual_seed(task.seed)
            return to_uint8(pipeline(task.prompt, generator=own, t0=near, t1=far, **sampling).images)

        return zero

    controlled = hide_progress_bar(StableDiffusionControlNetPipeline(**load_parts(pack, "unet", "controlnet")))

    def make(task: Task, first: np.ndarray, latents: np.ndarray) -> np.ndarray:
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
                latents=noise.repeat(count, 1, 1, 1).to(pack.device),
                **sampling_options(config),
            ).images
        finally:
            for model, processors in zip(models, before, strict=True):
                model.set_attn_processor(processors)
        return to_uint8(out)

    return make


def sampling_options(config: GenerationConfig) -> dict[str, Any]:
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
