"""Floating point operations of the UNet at Stable Diffusion 1.5's size, counted by torch on the meta device.

Nothing is computed and no weights are needed. A multiply-add counts two. What is counted is the UNet with what the
adapter adds; the mask encoder is in it, the autoencoder and text encoder, alike for every method, are not.
"""

from __future__ import annotations

from typing import Any

FRAMES, HEIGHT, WIDTH, TOKENS, STEPS = 16, 320, 512, 77, 20
GUIDED = 0.7
"""Share of the steps with guidance under `guidance_interval: (0.3, 1)`, with evenly spaced timesteps."""


def count_unet_flops() -> dict[str, float]:
    """Counts for 16 frames of 320x512, and ratios to the plain image UNet on the same 16 frames.

    training_ratio: a forward pass of tuning (backward adds alike to both). denoising_ratio: a denoising run of 20
    steps, frame 1 and the text going through once and frames 2..16 at every step; without_memory is the same without
    the KV cache. denoising_ratio_with_control: with the ControlNet on every frame 2..16 in the one of guidance's two
    branches that sees the mask, against the two branches of the image UNet. noisy_half: the same with the adapter in
    half of the steps only, as `timestep_range: (0.5, 1)` has it; frame 1 then goes through once with and once without.
    limited_guidance: with guidance in the 70 % of the steps that `guidance_interval: (0.3, 1)` leaves, against guidance
    in all steps of the image UNet; frame 1 then goes through for three branches.
    """
    import torch
    from diffusers import ControlNetModel, UNet2DConditionModel

    from mvmodel.model.adapter import MotionMaskAdapter
    from mvmodel.model.attachment import attach_adapter
    from mvmodel.model.context import DEFAULT, FrameContext, KVCache

    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8).eval()
        adapter = MotionMaskAdapter.for_unet(unet).eval()
        controlnet = ControlNetModel.from_unet(unet).eval()
    size = (HEIGHT // 8, WIDTH // 8)

    def call(frames: int, text: int, context: Any = None) -> None:
        options = {"cross_attention_kwargs": {"context": context}} if context else {}
        sample, t = torch.empty(frames, 4, *size, device="meta"), torch.empty(frames, device="meta").long()
        unet(sample, t, encoder_hidden_states=torch.empty(text, TOKENS, 768, device="meta"), **options)

    def call_controlnet(frames: int) -> None:
        sample, t = torch.empty(frames, 4, *size, device="meta"), torch.empty(frames, device="meta").long()
        text = torch.empty(frames, TOKENS, 768, device="meta")
        pictures = torch.empty(frames, 3, HEIGHT, WIDTH, device="meta")
        controlnet(sample, t, encoder_hidden_states=text, controlnet_cond=pictures)

    def context(
        frames: int, kv_cache: KVCache | None = None, cache_out: KVCache | None = None, uses_adapters: bool = True
    ) -> FrameContext:
        term = adapter.mask_term(torch.empty(frames, HEIGHT, WIDTH, device="meta"))
        return FrameContext(frames, {DEFAULT: (term,)}, kv_cache or {}, cache_out, uses_adapters=uses_adapters)

    image = count_flops(lambda: call(FRAMES, FRAMES))
    with attach_adapter(unet, adapter):
        training = count_flops(lambda: call(FRAMES, 1, context(FRAMES)))
        kv_cache: KVCache = {}
        once = count_flops(lambda: call(1, 1, context(1, cache_out=kv_cache)))
        step = count_flops(lambda: call(FRAMES - 1, 1, context(FRAMES - 1, kv_cache)))
        plain_cache: KVCache = {}
        plain_once = count_flops(lambda: call(1, 1, context(1, cache_out=plain_cache, uses_adapters=False)))
        plain_step = count_flops(lambda: call(FRAMES - 1, 1, context(FRAMES - 1, plain_cache, uses_adapters=False)))
    control = count_flops(lambda: call_controlnet(FRAMES - 1))
    trainable = adapter.parameter_counts()["total"]
    every_step = once + STEPS * step
    noisy_half = once + plain_once + STEPS / 2 * (step + plain_step)
    limited_guidance = 3 * once + STEPS * (1 + GUIDED) * step
    return {
        "image_unet_tflop": image / 1e12,
        "training_tflop": training / 1e12,
        "denoising_step_tflop": step / 1e12,
        "first_frame_once_tflop": once / 1e12,
        "training_ratio": training / image,
        "denoising_ratio": every_step / (STEPS * image),
        "denoising_ratio_without_memory": training / image,
        "controlnet_step_tflop": control / 1e12,
        "denoising_ratio_with_control": (2 * every_step + STEPS * control) / (2 * STEPS * image),
        "denoising_ratio_noisy_half": noisy_half / (STEPS * image),
        "denoising_ratio_noisy_half_with_control": (2 * noisy_half + STEPS * control) / (2 * STEPS * image),
        "denoising_ratio_limited_guidance": limited_guidance / (2 * STEPS * image),
        "denoising_ratio_limited_guidance_with_control": (limited_guidance + STEPS * control) / (2 * STEPS * image),
        "trainable_millions": trainable / 1e6,
        "adapter_megabytes_fp16": trainable * 2 / 1e6,
    }


def count_flops(call: Any) -> int:
    """Floating point operations of what `call` runs."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        call()
    return int(counter.get_total_flops())
