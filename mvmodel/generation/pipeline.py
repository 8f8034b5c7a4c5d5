"""`MaskVideoPipeline`: prompt + mask sequence + first frame -> video (paper, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from diffusers.video_processor import VideoProcessor
from transformers import CLIPTextModel, PreTrainedTokenizerBase

from mvmodel.errors import InputError
from mvmodel.generation.config import Sharing
from mvmodel.generation.noise import share_noise
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.context import FrameContext


@dataclass
class MaskVideoOutput(BaseOutput):  # type: ignore[misc]
    """frames: by `output_type`, "np" float32 (B, F, H, W, 3) in 0..1, "pt" (B, F, 3, H, W) in 0..1, "pil" a list of
    lists of images, "latent" scaled latents (B, F, C, h, w)."""

    frames: Any


class MaskVideoPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Generates frames 2..n from frame 1, a prompt and a mask sequence. Frame 1 comes from
    `mvmodel.generation.first_frame` (ControlNet on mask 1) or from the user."""

    model_cpu_offload_seq = "text_encoder->adapter->unet->vae"
    _optional_components = ["adapter"]
    _callback_tensor_inputs = ["latents", "prompt_embeds"]

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerBase,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
        adapter: MotionMaskAdapter | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler, adapter=adapter
        )
        blocks = getattr(getattr(vae, "config", None), "block_out_channels", (0,) * 4)
        self.vae_scale_factor = 2 ** (len(blocks) - 1)
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)
        self.video_processor = VideoProcessor(vae_scale_factor=self.vae_scale_factor)

    def check_inputs(self, prompt: Sequence[str], masks: torch.Tensor, first_frame: torch.Tensor) -> None:
        """Raise InputError, in one sentence, for inputs that do not fit together."""
        if masks.ndim != 4 or masks.shape[0] != len(prompt):
            raise InputError(
                f"masks are {tuple(masks.shape)} for {len(prompt)} prompts; give (prompts, frames, height, width)"
            )
        if masks.shape[1] < 2:
            raise InputError("a mask sequence of one frame makes a picture, not a video; give at least two masks")
        side = self.vae_scale_factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        if masks.shape[2] % side or masks.shape[3] % side:
            raise InputError(
                f"masks are {masks.shape[3]}x{masks.shape[2]}; this pack needs width and height divisible by {side}"
            )
        if first_frame.shape[-2:] != masks.shape[-2:]:
            raise InputError(
                f"the first frame is {first_frame.shape[-1]}x{first_frame.shape[-2]} but the masks are "
                f"{masks.shape[3]}x{masks.shape[2]}; give both at one size"
            )

    def encode_prompt(self, prompt: Sequence[str]) -> torch.Tensor:
        """Embeddings (prompts, tokens, width)."""
        ids = self.tokenizer(
            list(prompt),
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return self.text_encoder(ids.to(self._execution_device))[0].to(self.unet.dtype)

    def prepare_latents(
        self,
        first: torch.Tensor,
        frames: int,
        alpha: float,
        sharing: Sharing,
        generator: torch.Generator | list[torch.Generator] | None,
    ) -> torch.Tensor:
        """Starting latents of frames 2..n, (B, F - 1, C, h, w)."""
        shape = (first.shape[0], frames, *first.shape[1:])
        noise = randn_tensor(shape, generator=generator, device=first.device, dtype=first.dtype)
        return share_noise(noise, first, alpha, sharing) * self.scheduler.init_noise_sigma

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str],
        masks: np.ndarray | torch.Tensor,
        first_frame: np.ndarray | torch.Tensor | PIL.Image.Image | list[PIL.Image.Image],
        negative_prompt: str = "",
        num_inference_steps: int = 20,
        guidance_scale: float = 2.5,
        mask_guidance: bool = True,
        mask_term: bool = True,
        alpha: float = 0.2,
        sharing: Sharing = "paper",
        adapter_scale: float = 1.0,
        remember_first_frame: bool = True,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: str = "np",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> MaskVideoOutput | tuple[Any]:
        """Generate.

        masks: bool or 0/1 (F, H, W) or (B, F, H, W), F counting frame 1; True is foreground. first_frame: uint8
        (B, H, W, 3), float (B, 3, H, W) in 0..1, or PIL images. mask_term False switches Eq. 7's M off everywhere.
        Raises InputError when sizes do not fit.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        cover = torch.as_tensor(np.asarray(masks)).float()
        cover = cover[None] if cover.ndim == 3 else cover
        picture = self._first_frame(first_frame)
        self.check_inputs(prompts, cover, picture)
        device, dtype = self._execution_device, self.unet.dtype
        batch, frames = cover.shape[:2]
        branches = 2 if guidance_scale > 1 else 1
        prompt_embeds = self.encode_prompt(prompts)
        if branches == 2:
            prompt_embeds = torch.cat([self.encode_prompt([negative_prompt] * batch), prompt_embeds])
        encoded = self.vae.encode(picture.to(device, self.vae.dtype)).latent_dist.mode()
        first = (encoded * self.vae.config.scaling_factor).to(dtype)
        self.scheduler.set_timesteps(num_inference_steps, device=device)
        latents = self.prepare_latents(first, frames, alpha, sharing, generator)
        scales = torch.ones(branches, device=device)
        if branches == 2 and mask_guidance:
            scales[0] = 0
        if not mask_term:
            scales[:] = 0
        features = self._mask_features(cover, scales) if self.adapter is not None else None
        attach = self.adapter.attached(self.unet, adapter_scale) if self.adapter is not None else nullcontext()
        with attach:
            memory = self._remember(first, prompt_embeds, features, branches) if remember_first_frame else {}
            with self.progress_bar(total=num_inference_steps) as bar:
                for index, t in enumerate(self.scheduler.timesteps):
                    out = self._predict(latents, first, t, prompt_embeds, features, branches, memory)
                    if branches == 2:
                        plain, conditioned = out.chunk(2)
                        out = plain + guidance_scale * (conditioned - plain)
                    latents = self.scheduler.step(out, t, latents, return_dict=False)[0]
                    if callback_on_step_end is not None:
                        values = {}
                        for name in callback_on_step_end_tensor_inputs:
                            values[name] = locals()[name]
                        changed = callback_on_step_end(self, index, t, values) or {}
                        latents = changed.pop("latents", latents)
                        prompt_embeds = changed.pop("prompt_embeds", prompt_embeds)
                    bar.update()
        video = self._decode(torch.cat([first[:, None], latents], dim=1), output_type)
        self.maybe_free_model_hooks()
        return MaskVideoOutput(frames=video) if return_dict else (video,)

    def _first_frame(self, value: Any) -> torch.Tensor:
        """Any accepted first frame to float (B, 3, H, W) in -1..1."""
        if isinstance(value, np.ndarray) and value.dtype == np.uint8:
            value = value[None] if value.ndim == 3 else value
            value = torch.from_numpy(np.array(value)).permute(0, 3, 1, 2).float() / 255
        picture: torch.Tensor = self.image_processor.preprocess(value)
        return picture

    def _mask_features(self, cover: torch.Tensor, scales: torch.Tensor) -> dict[int, torch.Tensor]:
        """token count -> (branches, B, F, N, C), each branch scaled by its entry of `scales`."""
        flat = cover.flatten(0, 1).to(self._execution_device, self.unet.dtype)
        found = self.adapter.mask_features(flat)
        out = {}
        for tokens, value in found.items():
            clips = value.unflatten(0, cover.shape[:2])
            out[tokens] = clips[None] * scales.view(-1, 1, 1, 1, 1).to(clips.dtype)
        return out

    def _context(self, features: Any, span: slice, frames: int, memory: Any = None, remember: bool = False) -> Any:
        masks = None
        if features is not None:
            masks = {tokens: value[:, :, span].flatten(0, 2) for tokens, value in features.items()}
        return FrameContext(
            frames,
            masks,
            memory if memory is not None else {},
            remember,
            first=0 if span.start in (None, 0) else span.start,
        )

    def _unet(self, sample: torch.Tensor, t: torch.Tensor, text: torch.Tensor, context: FrameContext) -> torch.Tensor:
        options = {"cross_attention_kwargs": {"context": context}} if self.adapter is not None else {}
        return self.unet(
            sample.flatten(0, 1), t, encoder_hidden_states=text.repeat_interleave(sample.shape[1], dim=0), **options
        ).sample.unflatten(0, sample.shape[:2])

    def _remember(self, first: torch.Tensor, text: torch.Tensor, features: Any, branches: int) -> dict[str, Any]:
        """Run frame 1 once, clean and at timestep 0, and keep what later frames read of it."""
        if self.adapter is None:
            return {}
        context = self._context(features, slice(0, 1), 1, {}, remember=True)
        sample = first[:, None].repeat(branches, 1, 1, 1, 1)
        self._unet(sample, torch.zeros(len(sample), device=first.device, dtype=torch.long), text, context)
        return context.memory

    def _predict(
        self,
        latents: torch.Tensor,
        first: torch.Tensor,
        t: torch.Tensor,
        text: torch.Tensor,
        features: Any,
        branches: int,
        memory: dict[str, Any],
    ) -> torch.Tensor:
        """The UNet's prediction for frames 2..n, (branches * B, F - 1, C, h, w)."""
        sample = self.scheduler.scale_model_input(latents, t).repeat(branches, 1, 1, 1, 1)
        later = sample.shape[1]
        if memory:
            context = self._context(features, slice(1, None), later, memory)
            return self._unet(sample, t.expand(sample.shape[0] * later), text, context)
        sample = torch.cat([first[:, None].repeat(branches, 1, 1, 1, 1), sample], dim=1)
        own = t.expand(sample.shape[0], later + 1).clone()
        own[:, 0] = 0
        return self._unet(sample, own.flatten(), text, self._context(features, slice(None), later + 1))[:, 1:]

    def _decode(self, latents: torch.Tensor, output_type: str) -> Any:
        if output_type == "latent":
            return latents
        flat = latents.flatten(0, 1).to(self.vae.dtype) / self.vae.config.scaling_factor
        pictures = torch.cat([self.vae.decode(part).sample for part in flat.split(8)])
        video = pictures.unflatten(0, latents.shape[:2]).transpose(1, 2)  # (B, 3, F, H, W)
        return self.video_processor.postprocess_video(video.float(), output_type=output_type)
