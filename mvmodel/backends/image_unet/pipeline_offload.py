"""Keeps models that a pipeline seldom needs off the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mvmodel.packs.device import move_model


class PipelineOffload:
    """Mixin of pipelines with a `unet`, which stays on the device."""

    unet: Any
    offload = False
    """Whether the text encoder and the autoencoder leave the device after each use."""

    @property
    def _execution_device(self) -> torch.device:
        """The UNet's device: with `offload`, the other models are elsewhere most of the time."""
        return torch.device(self.unet.device)

    @contextmanager
    def _in_use(self, model: torch.nn.Module) -> Iterator[None]:
        """A context in which a model is on the device; with `offload`, it goes back to the CPU afterwards."""
        if not self.offload:
            yield
            return
        move_model(model, self._execution_device)
        try:
            yield
        finally:
            move_model(model, "cpu")
