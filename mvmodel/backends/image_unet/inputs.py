"""Converts the accepted forms of the pipeline's inputs, and checks that they fit together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor

from mvmodel.backends.instances import Instance, union_masks
from mvmodel.errors import InputError

Images = np.ndarray | torch.Tensor | PIL.Image.Image | list[PIL.Image.Image]


def prepare_masks(masks: np.ndarray | torch.Tensor | None, instances: Sequence[Instance] | None = None) -> torch.Tensor:
    """Masks as float 0/1, (B, F, H, W); if there are none, the union of the instances."""
    if masks is None:
        if not instances:
            raise InputError("there is no mask; give a mask sequence, or instances with masks of their own")
        masks = union_masks(instances)
    tensor = torch.as_tensor(np.asarray(masks)).float()
    return tensor[None] if tensor.ndim == 3 else tensor


def prepare_images(images: Images | None, processor: VaeImageProcessor) -> torch.Tensor:
    """Images as float (B, 3, H, W) in -1..1.

    images: uint8 (B, H, W, 3) or (H, W, 3), or what diffusers' `VaeImageProcessor` accepts.
    """
    if images is None:
        raise InputError(
            "there is no first frame; give a picture, or make one with mvmodel.backends.image_unet.first_frame"
        )
    if isinstance(images, np.ndarray) and images.dtype == np.uint8:
        batch = images[None] if images.ndim == 3 else images
        images = torch.from_numpy(np.array(batch)).permute(0, 3, 1, 2).float() / 255
    tensor: torch.Tensor = processor.preprocess(images)
    return tensor


def encode_images(vae: AutoencoderKL, images: torch.Tensor) -> torch.Tensor:
    """Images, float (B, 3, H, W) in -1..1, as scaled latents (B, C, h, w): the mean of the posterior."""
    latents: torch.Tensor = vae.encode(images).latent_dist.mode() * vae.config.scaling_factor
    return latents


def match_batch(counts: dict[str, int]) -> int:
    """The number of videos: what is there once is shared by all. Raises InputError when the counts do not fit.

    counts: name in the plural -> how many of them were given.
    """
    batch = max(counts.values())
    if any(count not in (1, batch) for count in counts.values()):
        summary = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise InputError(f"there are {summary}; give as many of each, or one that all videos share")
    return batch


def check_inputs(masks: torch.Tensor, size: tuple[int, int], multiple: int) -> None:
    """Raise InputError, in one sentence, for inputs that do not fit together.

    masks: (B, F, H, W). size: height and width of frame 1. multiple: what both must be divisible by.
    """
    if masks.ndim != 4:
        raise InputError(f"masks are {tuple(masks.shape)}; give (frames, height, width), or a batch of them")
    if masks.shape[1] < 2:
        raise InputError("a mask sequence of one frame makes a picture, not a video; give at least two masks")
    height, width = masks.shape[-2:]
    if height % multiple or width % multiple:
        raise InputError(f"masks are {width}x{height}; this pack needs width and height divisible by {multiple}")
    if tuple(size) != (height, width):
        raise InputError(
            f"the first frame is {size[1]}x{size[0]} but the masks are {width}x{height}; give both at one size"
        )
