"""Frame 1, by the pack's UNet and ControlNet from the prompt and mask 1 (paper, Eq. 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import StableDiffusionControlNetPipeline

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.control_pictures import draw_control_picture
from mvmodel.backends.image_unet.noise import draw_noise
from mvmodel.backends.image_unet.schedulers import build_scheduler
from mvmodel.backends.instances import Instance, compute_token_weights, merge_by_words
from mvmodel.errors import InputError
from mvmodel.model.attachment import attach_adapter
from mvmodel.model.context import DEFAULT, FrameContext
from mvmodel.model.saving import load_adapter
from mvmodel.progress import report_steps, start_task
from mvmodel.video.tensors import to_uint8

if TYPE_CHECKING:
    from mvmodel.packs import Pack


def generate_first_latents(
    pack: Pack,
    prompts: Sequence[str],
    masks: np.ndarray,
    seeds: Sequence[int],
    config: GenerationConfig,
    negative_prompts: Sequence[str] | None = None,
    device: str | None = None,
    instances: Sequence[Instance] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Generate a first frame for every prompt, mask and seed, in one batch.

    Args:
        pack: Provides the models.
        prompts: n prompts.
        masks: bool (n, height, width), True is foreground. The ControlNet sees what `draw_control_picture` draws of it.
        seeds: n seeds.
        config: Steps, guidance, scheduler, ControlNet scale and kind of control picture.
        negative_prompts: n negative prompts, or None.
        device: Where to run; None is the pack's device.
        instances: The objects of a single prompt. The pack's start adapter binds each one's first mask to its words,
            because the ControlNet's one mask cannot tell them apart.

    Returns:
        Pictures, uint8 (n, height, width, 3), and the scaled latents that they were decoded from, float32 (n, C, h, w).

    Raises:
        InputError: A mask is empty, instances come with several prompts, or the control picture cannot be drawn.
    """
    for prompt, mask in zip(prompts, masks, strict=True):
        if not mask.any():
            raise InputError(f"the first mask of {prompt!r} is empty; frame 1 is made from it, so give it a foreground")
    config = config.for_pack(pack.info)
    guidance = config.first_frame_guidance or 1.0
    pipeline = build_controlnet_pipeline(
        vae=pack.vae(),
        text_encoder=pack.text_encoder(),
        tokenizer=pack.tokenizer(),
        unet=pack.unet(),
        controlnet=pack.controlnet(),
        scheduler=build_scheduler(pack, config.scheduler),
    ).to(device or pack.device)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    side = (masks.shape[1] // pack.latent_factor, masks.shape[2] // pack.latent_factor)
    shape = (len(prompts), pack.unet().config.in_channels, *side)
    kind = config.control or pack.info.control
    pictures = [
        draw_control_picture(mask, kind, prompt, instances) for prompt, mask in zip(prompts, masks, strict=True)
    ]
    control = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous().to(pack.unet().dtype) / 255
    with (
        _bound_instances(pack, prompts, instances, guidance > 1) as attention_options,
        start_task("draw the first frame", config.first_frame_steps or 1) as advance,
    ):
        last_step = _LastStep(report_steps(advance))
        images = pipeline(
            list(prompts),
            image=control,
            negative_prompt=list(negative_prompts) if negative_prompts else None,
            num_inference_steps=config.first_frame_steps,
            guidance_scale=guidance,
            controlnet_conditioning_scale=1.0 if config.control_scale is None else config.control_scale,
            generator=generators,
            latents=draw_noise(shape, generators, device or pack.device, pack.unet().dtype),
            height=masks.shape[1],
            width=masks.shape[2],
            output_type="np",
            cross_attention_kwargs=attention_options,
            callback_on_step_end=last_step,
        ).images
    return to_uint8(images), last_step.latents.float().cpu().numpy()


def build_controlnet_pipeline(**models: Any) -> StableDiffusionControlNetPipeline:
    """diffusers' ControlNet pipeline of these models, without safety checker and progress bar."""
    pipeline = StableDiffusionControlNetPipeline(
        **models, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate_first_frames(*arguments: Any, **options: Any) -> np.ndarray:
    """The pictures of `generate_first_latents` alone, uint8 (n, height, width, 3)."""
    return generate_first_latents(*arguments, **options)[0]


class _LastStep:
    """A callback that passes steps on to another one and keeps the latents."""

    latents: torch.Tensor

    def __init__(self, report: Callable[..., dict[str, Any]]) -> None:
        self.report = report

    def __call__(self, pipeline: Any, index: int, t: torch.Tensor, tensors: dict[str, Any]) -> dict[str, Any]:
        self.latents = tensors["latents"]
        return self.report(pipeline, index, t, tensors)


@contextmanager
def _bound_instances(
    pack: Pack, prompts: Sequence[str], instances: Sequence[Instance] | None, guided: bool
) -> Iterator[dict[str, Any] | None]:
    """Cross-attention arguments that bind each instance's first mask to its words; None if there are no instances."""
    folder = pack.start_adapter()
    if not instances or folder is None:
        yield None
        return
    if len(prompts) != 1:
        raise InputError("instances are bound to the words of one prompt; make such first frames one by one")
    unet = pack.unet()
    adapter = load_adapter(folder, unet.dtype).to(unet.device)
    branches = torch.tensor([0.0, 1.0] if guided else [1.0], device=unet.device, dtype=unet.dtype)
    terms = []
    for phrase in merge_by_words(instances):  # the ControlNet already sees the union of their masks
        weights = torch.from_numpy(compute_token_weights(pack.tokenizer(), prompts[0], phrase.words))[None]
        mask = torch.from_numpy(phrase.masks[:1]).to(branches)
        term = adapter.mask_term(mask.expand(len(branches), -1, -1), weights.to(branches))
        terms.append(term.scale_rows(branches))
    with torch.no_grad(), attach_adapter(unet, adapter):
        yield {"context": FrameContext(1, {DEFAULT: terms})}
