"""A pipeline's pictures as latents and its latents as pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from diffusers.video_processor import VideoProcessor

from mvmodel.backends.image_unet.inputs import Images, encode_images, prepare_images
from mvmodel.backends.image_unet.pipeline_offload import PipelineOffload
from mvmodel.video.tensors import to_uint8


class LatentCodingMixin(PipelineOffload):
    """For pipelines with a `vae`, an `image_processor` and a `video_processor`."""

    vae: AutoencoderKL
    image_processor: VaeImageProcessor
    video_processor: VideoProcessor

    @torch.no_grad()
    def encode_frames(self, images: Images | None) -> torch.Tensor:
        """Images in any form that `first_frame` accepts, as scaled latents (B, C, h, w)."""
        pixels = prepare_images(images, self.image_processor)
        with self._in_use(self.vae):
            return encode_images(self.vae, pixels.to(self._execution_device, self.vae.dtype))

    def _encode_pictures(self, pictures: np.ndarray, chunk: int = 8) -> torch.Tensor:
        """Pictures, uint8 (N, H, W, 3), as scaled latents (N, C, h, w), encoded `chunk` at a time."""
        parts = [pictures[start : start + chunk] for start in range(0, len(pictures), chunk)]
        return torch.cat([self.encode_frames(part) for part in parts])

    def _first_pictures(self, first_frame: Images | None, first: torch.Tensor) -> np.ndarray:
        """Frame 1, uint8 (B, H, W, 3): what was given, else the decoded latents (B, C, h, w)."""
        if first_frame is None:
            return to_uint8(self.decode_latents(first[:, None])[:, 0])
        pixels = prepare_images(first_frame, self.image_processor) / 2 + 0.5
        return to_uint8(pixels.clamp(0, 1).expand(len(first), -1, -1, -1).permute(0, 2, 3, 1).cpu().numpy())

    @torch.no_grad()
    def decode_latents(
        self,
        latents: torch.Tensor,
        output_type: str = "np",
        chunk: int = 8,
        finish: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Any:
        """Scaled latents (B, F, C, h, w) as frames of `output_type`, decoded `chunk` at a time.

        finish: changes decoded frames, float32 0..1 (B, F, H, W, 3).
        """
        if output_type == "latent":
            return latents
        flat = latents.flatten(0, 1).to(self.vae.dtype) / self.vae.config.scaling_factor
        with self._in_use(self.vae):
            frames = torch.cat([self.vae.decode(part).sample for part in flat.split(chunk)])
        video = frames.unflatten(0, latents.shape[:2]).transpose(1, 2)  # (B, 3, F, H, W)
        if finish is not None:
            pixels = (video.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 4, 1).cpu().numpy()
            video = torch.from_numpy(finish(pixels)).permute(0, 4, 1, 2, 3) * 2 - 1
        return self.video_processor.postprocess_video(video.float(), output_type=output_type)
