"""The ControlNet on the masks of the frames after frame 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import ControlNetModel

from mvmodel.backends.generation_config import ControlBranches


@dataclass
class FrameControl:
    """Computes what the ControlNet adds to the UNet's features.

    Attributes:
        controlnet: Of the pack.
        pictures: Control pictures of the new frames, float 0..1 (B, F, 3, H, W).
        scale: Conditioning scale, as in diffusers.
        start: Share of the steps after which it begins.
        end: Share of the steps after which it ends.
        branches: Which branches of guidance it acts on: "masked", those that see the mask, or "all".
    """

    controlnet: ControlNetModel
    pictures: torch.Tensor
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0
    branches: ControlBranches = "masked"
    _embedding: _CachedEmbedding | None = field(default=None, init=False, repr=False)

    def is_active(self, start_progress: float, end_progress: float) -> bool:
        """Whether it acts in a step. The arguments are the shares of the steps that are done before and after."""
        return self.scale > 0 and start_progress >= self.start and end_progress <= self.end

    def compute_residuals(
        self, sample: torch.Tensor, t: torch.Tensor, text: torch.Tensor, masked: tuple[bool, ...], clean_frames: int
    ) -> dict[str, Any]:
        """The UNet's keyword arguments with the residuals; none if no branch gets any.

        Args:
            sample: The UNet's input, (B, F, C, h, w); every branch has the same.
            t: Timesteps (F,).
            text: Text embeddings of all branches, (branches * B, L, D).
            masked: Which branches see the mask.
            clean_frames: How many frames at the start of `sample` are not new; they get no residuals.
        """
        (clips, frames), branches = sample.shape[:2], len(masked)
        active = [branch for branch, sees in enumerate(masked) if sees or self.branches == "all"]
        if not active:
            return {}
        new = sample[:, clean_frames:]
        new_frames = new.shape[1]
        rows = new[None].expand(len(active), *new.shape).flatten(0, 2)
        self.pictures = self.pictures.to(rows)  # once a video, not once a step
        pictures = self.pictures[None].expand(len(active), -1, -1, -1, -1, -1).flatten(0, 2)
        active_text = text.unflatten(0, (branches, clips))[active].flatten(0, 1)
        with self._cached_embedding():
            down, middle = self.controlnet(
                rows,
                t[clean_frames:].repeat(len(active) * clips),
                encoder_hidden_states=active_text.repeat_interleave(new_frames, dim=0),
                controlnet_cond=pictures,
                conditioning_scale=self.scale,
                return_dict=False,
            )

        def fill(residual: torch.Tensor) -> torch.Tensor:
            """Zeros for the other branches and frames, so that there is one row for each of the UNet's."""
            full = residual.new_zeros(branches, clips, frames, *residual.shape[1:])
            full[active, :, clean_frames:] = residual.unflatten(0, (len(active), clips, new_frames))
            return full.flatten(0, 2)

        return {
            "down_block_additional_residuals": tuple(fill(residual) for residual in down),
            "mid_block_additional_residual": fill(middle),
        }

    @contextmanager
    def _cached_embedding(self) -> Iterator[None]:
        """A context in which the ControlNet embeds the pictures in the first step only: they are the same in all."""
        original = self.controlnet.controlnet_cond_embedding
        count = self.pictures.shape[:2].numel()
        self._embedding = self._embedding or _CachedEmbedding(original, count)
        self.controlnet.controlnet_cond_embedding = self._embedding
        try:
            yield
        finally:
            self.controlnet.controlnet_cond_embedding = original


class _CachedEmbedding(torch.nn.Module):
    """A ControlNet's embedding of the pictures of one video, computed in the first call.

    Later calls may have other numbers of branches. Every branch has the same pictures, so one of them is embedded.
    """

    def __init__(self, embedding: torch.nn.Module, count: int) -> None:
        """count: pictures of a branch."""
        super().__init__()
        self.embedding, self.count = embedding, count
        self.embedded: torch.Tensor | None = None

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if self.embedded is None:
            self.embedded = self.embedding(pictures[: self.count])
        return self.embedded.repeat(len(pictures) // self.count, 1, 1, 1)
