"""What a user may hand to the pipeline, brought to one form and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mvmodel.backends.instances import Instance, union
from mvmodel.errors import InputError


def prepare_masks(masks: Any, instances: Sequence[Instance] | None = None) -> torch.Tensor:
    """Masks as float 0/1 (B, F, H, W); without any, the union of the instances."""
    if masks is None:
        if not instances:
            raise InputError("there is no mask; give a mask sequence, or instances with masks of their own")
        masks = union(instances)
    cover = torch.as_tensor(np.asarray(masks)).float()
    return cover[None] if cover.ndim == 3 else cover


def prepare_picture(value: Any, processor: Any) -> torch.Tensor:
    """A first frame in any accepted form as float (B, 3, H, W) in -1..1."""
    if value is None:
        raise InputError(
            "there is no first frame; give a picture, or make one with mvmodel.backends.image_unet.first_frame"
        )
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        value = value[None] if value.ndim == 3 else value
        value = torch.from_numpy(np.array(value)).permute(0, 3, 1, 2).float() / 255
    picture: torch.Tensor = processor.preprocess(value)
    return picture


def encode_first_frame(pipeline: Any, value: Any) -> torch.Tensor:
    """A first frame in any accepted form as scaled latents (B, C, h, w): the posterior's mean."""
    vae = pipeline.vae
    picture = prepare_picture(value, pipeline.image_processor).to(pipeline._execution_device, vae.dtype)
    latents: torch.Tensor = vae.encode(picture).latent_dist.mode() * vae.config.scaling_factor
    return latents


def check_inputs(prompts: int, masks: torch.Tensor, size: tuple[int, int], side: int) -> None:
    """Raise InputError, in one sentence, for inputs that do not fit together.

    masks: (prompts, F, H, W). size: height and width of frame 1. side: what both must be divisible by.
    """
    if masks.ndim != 4 or masks.shape[0] != prompts:
        raise InputError(f"masks are {tuple(masks.shape)} for {prompts} prompts; give (prompts, frames, height, width)")
    if masks.shape[1] < 2:
        raise InputError("a mask sequence of one frame makes a picture, not a video; give at least two masks")
    height, width = masks.shape[-2:]
    if height % side or width % side:
        raise InputError(f"masks are {width}x{height}; this pack needs width and height divisible by {side}")
    if tuple(size) != (height, width):
        raise InputError(
            f"the first frame is {size[1]}x{size[0]} but the masks are {width}x{height}; give both at one size"
        )
