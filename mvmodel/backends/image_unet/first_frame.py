"""Frame 1: a text-to-image model with ControlNet, conditioned on the prompt and on mask 1 (paper, Eq. 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.instances import Instance, merge_by_words, word_weights
from mvmodel.errors import InputError


def control_frames(
    pack: Any,
    prompts: Sequence[str],
    masks: np.ndarray,
    seeds: Sequence[int],
    config: GenerationConfig,
    negative_prompts: Sequence[str] | None = None,
    device: str | None = None,
    instances: Sequence[Instance] | None = None,
) -> np.ndarray:
    """Sample a first frame for every mask.

    masks: bool (n, height, width), True is foreground, shown to the ControlNet white on black. instances: for a single
    prompt, its objects, of whose masks the first frame counts; the pack's start adapter then tells their places apart,
    which the ControlNet's one mask cannot. Returns uint8 (n, height, width, 3). Raises InputError for an empty mask.
    """
    import torch
    from diffusers import StableDiffusionControlNetPipeline

    from mvmodel.backends.image_unet.schedulers import build_scheduler

    for prompt, mask in zip(prompts, masks, strict=True):
        if not mask.any():
            raise InputError(f"the first mask of {prompt!r} is empty; frame 1 is made from it, so give it a foreground")
    config = config.for_pack(pack.info)
    guidance = config.first_frame_guidance or 1.0
    pipeline = StableDiffusionControlNetPipeline(
        vae=pack.vae(),
        text_encoder=pack.text_encoder(),
        tokenizer=pack.tokenizer(),
        unet=pack.unet(),
        controlnet=pack.controlnet(),
        scheduler=build_scheduler(pack, config.scheduler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(device or pack.device)
    pipeline.set_progress_bar_config(disable=True)
    control = torch.from_numpy(np.ascontiguousarray(masks)).to(pack.unet().dtype)[:, None].expand(-1, 3, -1, -1)
    with _told_apart(pack, prompts, instances, guidance > 1) as options:
        out = pipeline(
            list(prompts),
            image=control.contiguous(),
            negative_prompt=list(negative_prompts) if negative_prompts else None,
            num_inference_steps=config.first_frame_steps,
            guidance_scale=guidance,
            controlnet_conditioning_scale=config.control_scale,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            height=masks.shape[1],
            width=masks.shape[2],
            output_type="np",
            cross_attention_kwargs=options,
        ).images
    pictures: np.ndarray = (np.clip(out, 0, 1) * 255).round().astype(np.uint8)
    return pictures


@contextmanager
def _told_apart(
    pack: Any, prompts: Sequence[str], instances: Sequence[Instance] | None, guided: bool
) -> Iterator[dict[str, Any] | None]:
    """Keywords for the UNet's attention that bind each instance's first mask to its words; None without instances."""
    if not instances or pack.start_adapter() is None:
        yield None
        return
    import torch

    from mvmodel.model.attachment import attach_adapter
    from mvmodel.model.context import DEFAULT, FrameContext
    from mvmodel.model.saving import load_adapter

    if len(prompts) != 1:
        raise InputError("instances are bound to the words of one prompt; make such first frames one by one")
    unet = pack.unet()
    adapter = load_adapter(pack.start_adapter(), unet.dtype).to(unet.device)
    rows = torch.tensor([0.0, 1.0] if guided else [1.0], device=unet.device, dtype=unet.dtype)
    terms = []
    for phrase in merge_by_words(instances):  # the mask of all of them is the ControlNet's part
        words = torch.from_numpy(word_weights(pack.tokenizer(), prompts[0], phrase.words))[None].to(rows)
        mask = torch.from_numpy(phrase.masks[:1]).to(rows)
        terms.append(adapter.mask_term(mask.expand(len(rows), -1, -1), words).scale_rows(rows))
    with torch.no_grad(), attach_adapter(unet, adapter):
        yield {"context": FrameContext(1, {DEFAULT: terms})}
