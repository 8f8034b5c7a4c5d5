"""`MaskVideoPipeline`: prompt + mask sequence + first frame -> video (paper, Algorithm 1)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, DiffusionPipeline, UNet2DConditionModel
from diffusers.image_processor import VaeImageProcessor
from diffusers.schedulers import KarrasDiffusionSchedulers
from diffusers.video_processor import VideoProcessor
from transformers import CLIPTextModel, PreTrainedTokenizerBase

from mvmodel.backends.generation_config import GENERIC_SAMPLING, NoiseSharingMode, UnboundWords
from mvmodel.backends.image_unet.background import PlateMemory
from mvmodel.backends.image_unet.camera import build_camera_path
from mvmodel.backends.image_unet.clean_prediction import compute_signal_rate, predict_clean
from mvmodel.backends.image_unet.denoiser import Denoiser
from mvmodel.backends.image_unet.guidance import guidance_branches
from mvmodel.backends.image_unet.guides import build_guides
from mvmodel.backends.image_unet.inputs import Images, check_inputs, match_batch, prepare_masks
from mvmodel.backends.image_unet.latent_coding import LatentCodingMixin
from mvmodel.backends.image_unet.later_frames import (
    FrameLayout,
    FrameOptions,
    MixedNoise,
    build_frame_control,
    finish_videos,
)
from mvmodel.backends.image_unet.noise import draw_noise, share_noise
from mvmodel.backends.image_unet.pipeline_adapters import PipelineAdapters
from mvmodel.backends.image_unet.pipeline_output import MaskVideoOutput, StepCallback
from mvmodel.backends.image_unet.prompt_encoding import PromptEncodingMixin
from mvmodel.backends.instances import Instance
from mvmodel.errors import InputError
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.packs.device import use_channels_last
from mvmodel.packs.info import ControlKind


class MaskVideoPipeline(  # type: ignore[misc]
    PipelineAdapters, PromptEncodingMixin, LatentCodingMixin, DiffusionPipeline
):
    """Generates frames 2..n from frame 1, a prompt and a mask sequence.

    Frame 1 comes from `mvmodel.backends.image_unet.first_frame` (ControlNet on mask 1) or from the user. Several motion
    adapters can be loaded, switched and scaled: `load_adapter`, `set_adapters`, `delete_adapter`. The constructor's is
    called "default", and is the one that `save_pretrained` writes.

    controlnet: Only needed for `control_frames="every"`.
    default_guidance_scale, default_steps, default_control: Of calls without them; `build_pipeline` sets the pack's.
    """

    model_cpu_offload_seq = "text_encoder->unet->vae"
    _optional_components = ["adapter", "controlnet"]
    _exclude_from_cpu_offload = ["adapter"]  # it is never called itself: the UNet's layers read its weights
    _callback_tensor_inputs = ["latents", "prompt_embeds", "negative_prompt_embeds", "clean_latents"]

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerBase,
        unet: UNet2DConditionModel,
        scheduler: KarrasDiffusionSchedulers,
        adapter: MotionMaskAdapter | None = None,
        controlnet: ControlNetModel | None = None,
        default_guidance_scale: float = GENERIC_SAMPLING["guidance_scale"],
        default_steps: int = GENERIC_SAMPLING["steps"],
        default_control: ControlKind = "mask",
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            adapter=adapter,
            controlnet=controlnet,
        )
        self.register_to_config(
            default_guidance_scale=default_guidance_scale, default_steps=default_steps, default_control=default_control
        )
        blocks = getattr(getattr(vae, "config", None), "block_out_channels", (0,) * 4)
        self.vae_scale_factor = 2 ** (len(blocks) - 1)
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)
        self.video_processor = VideoProcessor(vae_scale_factor=self.vae_scale_factor)
        self._register_adapters()

    def check_inputs(
        self,
        batch: int,
        masks: torch.Tensor,
        size: tuple[int, int],
        callback_tensors: Sequence[str] = (),
        generator: torch.Generator | list[torch.Generator] | None = None,
    ) -> None:
        """Raise InputError, in one sentence, for inputs that do not fit together. size: frame 1's height and width."""
        multiple = self.vae_scale_factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        check_inputs(masks, size, multiple)
        if isinstance(generator, list) and len(generator) != batch:
            raise InputError(f"there are {len(generator)} generators for {batch} videos; give one, or as many")
        unknown = set(callback_tensors) - set(self._callback_tensor_inputs)
        if unknown:
            raise InputError(f"callbacks get {', '.join(self._callback_tensor_inputs)}, not {', '.join(unknown)}")

    def prepare_latents(
        self,
        first: torch.Tensor,
        frames: int,
        alpha: float,
        noise_sharing: NoiseSharingMode,
        generator: torch.Generator | list[torch.Generator] | None,
        latents: torch.Tensor | None = None,
        prior: MixedNoise | None = None,
    ) -> torch.Tensor:
        """Starting latents of the frames after `first`, (B, frames - 1, C, h, w); passed `latents` are only scaled."""
        if latents is None:
            shape = (first.shape[0], frames, *first.shape[1:])
            noise = draw_noise(shape, generator, first.device, first.dtype)
            if prior is not None:
                noise = prior(noise, generator)
            latents = share_noise(noise, first, alpha, noise_sharing)
        return latents.to(first.device, first.dtype) * self.scheduler.init_noise_sigma

    @property
    def guidance_scale(self) -> float:
        return self._guidance_scale

    @property
    def num_timesteps(self) -> int:
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        return self._interrupt

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str] | None = None,
        masks: np.ndarray | torch.Tensor | None = None,
        first_frame: Images | None = None,
        negative_prompt: str | list[str] | None = "",
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        mask_guidance: bool = True,
        mask_guidance_scale: float | None = None,
        mask_term: bool = True,
        instances: Sequence[Instance] | None = None,
        unbound_words: UnboundWords = "union",
        alpha: float = 0.2,
        noise_sharing: NoiseSharingMode = "paper",
        adapter_scale: float = 1.0,
        first_frame_attention: bool = True,
        cache_first_frame: bool = True,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: torch.Tensor | None = None,
        prompt_embeds: torch.Tensor | None = None,
        negative_prompt_embeds: torch.Tensor | None = None,
        first_latents: torch.Tensor | None = None,
        context_latents: torch.Tensor | None = None,
        context_timestep: int = 0,
        first_index: int = 1,
        plate: PlateMemory | None = None,
        decode_chunk_size: int = 8,
        output_type: str = "np",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        **frame_options: Any,
    ) -> MaskVideoOutput | tuple[Any]:
        """Generate frame 1 and the new frames. Raises InputError when the inputs' sizes do not fit together.

        Prompts, mask sequences and first frames are B each, or one that all videos of the batch share.

        Args:
            masks: Bool or 0/1, (F, H, W) or (B, F, H, W), frame 1 included; True is foreground.
            first_frame: uint8 (B, H, W, 3), float (B, 3, H, W) in 0..1, or PIL images.
            num_inference_steps, guidance_scale: None takes the pipeline's default.
            mask_guidance, mask_guidance_scale, mask_term: See `guidance_branches`.
            instances: For a single prompt, objects bound to words of it; `masks` may then be left out.
            unbound_words: See `Denoiser.set_masks`.
            alpha, noise_sharing: How frame 1 is mixed into the starting noise; see `share_noise`.
            adapter_scale: Multiplies the scales of all adapters.
            first_frame_attention, cache_first_frame: See `Denoiser`.
            eta, generator: As in diffusers.
            latents: Starting noise of the new frames, (B, frames, C, h, w), before the scheduler's scale.
            prompt_embeds, negative_prompt_embeds: (B, L, D) in place of prompts.
            first_latents: Scaled latents of frame 1, (B, C, h, w), in place of those of `first_frame`.
            context_latents: Clean latents of the K frames before the new ones, (B, K, C, h, w); `masks` then covers
                frame 1, the context and the new frames.
            context_timestep, first_index: See `Denoiser`.
            plate: With `background`, what the previous windows returned.
            decode_chunk_size: Frames decoded at a time.
            output_type, return_dict: See `MaskVideoOutput`; False returns a tuple.
            callback_on_step_end, callback_on_step_end_tensor_inputs: As in diffusers. Besides its tensors there is
                "clean_latents", what the step predicts of the finished video, float32 (B, frames, C, h, w).
            frame_options: Fields of `FrameOptions`: noise in common, ControlNet on every frame, background, colours,
                drafts, guidance rescale, appearance anchor, noise levels at which adapters act.
        """
        device, dtype = self._execution_device, self.unet.dtype
        if device.type == "cpu":  # as in a pack: a pipeline that was saved and loaded gives the same videos
            use_channels_last(self.vae, self.unet, self.controlnet)
        if guidance_scale is None:
            guidance_scale = float(self.config.default_guidance_scale)
        steps = int(num_inference_steps or self.config.default_steps)
        self._guidance_scale, self._interrupt = guidance_scale, False
        prompts = prompt if prompt_embeds is None else prompt_embeds
        prompt_count = 1 if isinstance(prompts, str) else 0 if prompts is None else len(prompts)
        mask_tensor = prepare_masks(masks, instances)
        first = self.encode_frames(first_frame) if first_latents is None else first_latents
        batch = match_batch({"prompts": prompt_count, "first frames": len(first), "mask sequences": len(mask_tensor)})
        size = (first.shape[-2] * self.vae_scale_factor, first.shape[-1] * self.vae_scale_factor)
        self.check_inputs(batch, mask_tensor, size, callback_on_step_end_tensor_inputs, generator)
        first = first.to(device, dtype).expand(batch, -1, -1, -1)
        mask_tensor = mask_tensor.expand(batch, -1, -1, -1)
        text = self.encode_prompt(prompt, negative_prompt, prompt_embeds, negative_prompt_embeds)
        self.scheduler.set_timesteps(steps, device=device)
        self._num_timesteps = len(self.scheduler.timesteps)
        context_frames = 0 if context_latents is None else context_latents.shape[1]
        options = FrameOptions(**frame_options)
        if not mask_term:
            options = options.without_masks()
        layout = FrameLayout(
            mask_tensor, context_frames, instances, build_camera_path(options.camera, mask_tensor.shape[1:])
        )
        new_frames = mask_tensor.shape[1] - context_frames
        prior = options.build_noise_prior(layout)
        latents = self.prepare_latents(first, new_frames, alpha, noise_sharing, generator, latents, prior=prior)
        pictures = cache(partial(self._first_pictures, first_frame, first))
        guides = build_guides(options, layout, first, pictures, self._encode_pictures, plate, context_latents)
        control = None
        if options.control_frames == "every":
            words = [prompt] if isinstance(prompt, str) else prompt or []
            control = build_frame_control(
                options, layout, self._require_controlnet(), words, options.control or self.config.default_control
            )
        denoiser = Denoiser(
            unet=self.unet,
            scheduler=self.scheduler,
            adapters=self._active_adapters(adapter_scale),
            branches=guidance_branches(guidance_scale, mask_guidance, mask_guidance_scale, mask_term),
            first=first,
            context=None if context_latents is None else context_latents.to(device, dtype),
            context_timestep=context_timestep,
            first_index=first_index,
            first_frame_attention=first_frame_attention,
            cache_first_frame=cache_first_frame,
            control=control,
            guidance_rescale=options.guidance_rescale,
            guidance_interval=options.guidance_interval,
            timestep_range=options.timestep_range,
            guides=list(guides.values()),
            anchors=options.build_anchors(layout, first, len(self.unet.config.block_out_channels)),
        )
        denoiser.set_masks(mask_tensor, instances, self.tokenizer, prompt, unbound_words)
        step_options = self._step_options(eta, generator)
        callback = StepCallback(self, callback_on_step_end, callback_on_step_end_tensor_inputs)
        latents = self._denoise(denoiser, latents, text, steps, step_options, callback)
        finish = partial(finish_videos, pictures, layout, options) if options.finishes(layout) else None
        video = self.decode_latents(torch.cat([first[:, None], latents], dim=1), output_type, decode_chunk_size, finish)
        self.maybe_free_model_hooks()
        if not return_dict:
            return (video,)
        background = guides.get("background")
        return MaskVideoOutput(frames=video, plate=background.remember(latents) if background else None)

    def _denoise(
        self,
        denoiser: Denoiser,
        latents: torch.Tensor,
        text: tuple[torch.Tensor, torch.Tensor],
        steps: int,
        step_options: dict[str, Any],
        callback: StepCallback,
    ) -> torch.Tensor:
        """Run all timesteps on noisy latents (B, frames, C, h, w). text: embeddings, and negative embeddings."""
        with denoiser.attached():
            denoiser.set_text(*text)
            with self.progress_bar(total=steps) as bar:
                for index, t in enumerate(self.scheduler.timesteps):
                    if self._interrupt:
                        continue
                    out = denoiser.predict(latents, t, index, len(self.scheduler.timesteps))
                    clean = self._predict_clean(out, latents, t) if callback.wants("clean_latents") else None
                    latents = self.scheduler.step(out, t, latents, **step_options, return_dict=False)[0]
                    latents, changed_text = callback(index, t, latents, text, clean)
                    if changed_text is not None:
                        text = changed_text
                        denoiser.set_text(*text)
                    if (index + 1) % self.scheduler.order == 0:
                        bar.update()
        return latents

    def _predict_clean(self, out: torch.Tensor, latents: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The clean latents that a step predicts. To be called before the scheduler takes the step."""
        sample = self.scheduler.scale_model_input(latents, t)
        rate = compute_signal_rate(self.scheduler, t)
        return predict_clean(out, sample, rate, self.scheduler.config.prediction_type)

    def _step_options(self, eta: float, generator: Any) -> dict[str, Any]:
        """Those of eta and generator that this scheduler's `step` accepts."""
        parameters = inspect.signature(self.scheduler.step).parameters
        return {name: value for name, value in (("eta", eta), ("generator", generator)) if name in parameters}

    def _require_controlnet(self) -> ControlNetModel:
        if self.controlnet is None:
            raise InputError("the pipeline has no ControlNet for control_frames='every'; give one as `controlnet`")
        controlnet: ControlNetModel = self.controlnet
        return controlnet
