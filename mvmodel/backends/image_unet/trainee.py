"""The motion adapter as fine-tuning sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mvmodel.backends.backend import Trainee
from mvmodel.backends.image_unet.latents import TrainingLatents
from mvmodel.backends.image_unet.loss import denoising_loss
from mvmodel.backends.image_unet.preview import write_preview_strip
from mvmodel.backends.training_config import TrainConfig
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapter
from mvmodel.model.saving import save_adapter
from mvmodel.packs.device import move_model

if TYPE_CHECKING:
    from mvmodel.packs import Pack


class AdapterTrainee(Trainee):
    """The adapter (trained) and the pack's UNet (frozen, not a submodule) in one forward that returns the loss."""

    def __init__(self, pack: Pack, adapter: MotionMaskAdapter, config: TrainConfig, device: str) -> None:
        super().__init__()
        self.adapter = adapter
        self._pack, self._config, self._device = pack, config, device

    def forward(self, *batch: torch.Tensor) -> torch.Tensor:
        return denoising_loss(
            self._pack.unet(),
            self.adapter,
            self._pack.scheduler(),
            *batch,
            foreground_weight=self._config.foreground_weight,
            min_snr_gamma=self._config.min_snr_gamma,
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        rates = {"mask": self._config.mask_lr}
        groups = self.adapter.parameter_groups()
        return [{"params": params, "lr": rates.get(part, self._config.lr)} for part, params in groups.items()]

    def parameter_counts(self) -> dict[str, int]:
        return self.adapter.parameter_counts()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The adapter attached to the UNet, which is frozen and in float32: autocast alone decides what is lower.

        Under a memory plan with `half_precision_unet`, the frozen weights stay as the pack loads them.
        """
        unet = self._pack.unet().requires_grad_(False).eval().to(self._device)
        dtype = unet.dtype
        checkpointing = self._config.gradient_checkpointing or self._pack.memory.gradient_checkpointing
        if checkpointing:
            unet.enable_gradient_checkpointing()
            self.adapter.enable_gradient_checkpointing()
        if not self._pack.memory.half_precision_unet:
            unet.float()
        try:
            with attach_adapter(unet, self.adapter):
                yield
        finally:
            move_model(unet, dtype)
            if checkpointing:
                unet.disable_gradient_checkpointing()

    def write_preview(self, png: Path, cached: TrainingLatents) -> None:
        pack = self._pack
        write_preview_strip(png, self.adapter, pack.unet(), pack.scheduler(), pack.vae(), cached)

    def save(self, folder: Path, frames: int) -> None:
        save_adapter(self.adapter.cpu().eval(), folder, frames)
