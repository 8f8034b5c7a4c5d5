"""What `MaskVideoPipeline` returns, and how it calls the user back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput

from mvmodel.backends.image_unet.background import PlateMemory


@dataclass
class MaskVideoOutput(BaseOutput):  # type: ignore[misc]
    """frames: by `output_type`, "np" float32 (B, F, H, W, 3) in 0..1, "pt" (B, F, 3, H, W) in 0..1, "pil" a list of
    lists of images, "latent" scaled latents (B, F, C, h, w). plate: with `background`, the mean of all backgrounds so
    far, for the next window of a long video."""

    frames: Any
    plate: PlateMemory | None = None


@dataclass
class StepCallback:
    """The user's callback at the end of a step, by diffusers' convention."""

    pipeline: DiffusionPipeline
    function: Callable[..., dict[str, Any]] | None
    tensor_inputs: Sequence[str]

    def wants(self, name: str) -> bool:
        """Whether the user's callback gets this tensor."""
        return self.function is not None and name in self.tensor_inputs

    def __call__(
        self,
        index: int,
        t: torch.Tensor,
        latents: torch.Tensor,
        text: tuple[torch.Tensor, torch.Tensor],
        clean: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor] | None]:
        """The latents, and the text embeddings if the callback changed them, else None."""
        if self.function is None:
            return latents, None
        tensors = {
            "latents": latents,
            "clean_latents": clean,
            "prompt_embeds": text[0],
            "negative_prompt_embeds": text[1],
        }
        inputs = {name: tensors[name] for name in self.tensor_inputs}
        changed = self.function(self.pipeline, index, t, inputs) or {}
        latents = changed.pop("latents", latents)
        changed.pop("clean_latents", None)
        if not changed:
            return latents, None
        return latents, (changed.pop("prompt_embeds", text[0]), changed.pop("negative_prompt_embeds", text[1]))
