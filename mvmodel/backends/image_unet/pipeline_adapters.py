"""The adapters of a `MaskVideoPipeline`: loaded, switched and scaled by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.context import DEFAULT
from mvmodel.model.saving import load_adapter
from mvmodel.packs.device import move_model


class PipelineAdapters:
    """Mixin with the methods on adapters. The pipeline has a `unet`, and an `adapter` that may be None."""

    unet: Any
    adapter: MotionMaskAdapter | None

    def _register_adapters(self) -> None:
        self._loaded: dict[str, MotionMaskAdapter] = {}
        self._scales: dict[str, float] = {DEFAULT: 1.0} if self.adapter is not None else {}

    def load_adapter(self, adapter: MotionMaskAdapter | str | Path, name: str) -> None:
        """Load another adapter, or the one in a folder, in addition to the others; it is active at scale 1.

        Raises PackError when it was trained for another architecture, InputError when the name is taken.
        """
        if name in self._all_adapters():
            raise InputError(f"an adapter is already loaded as {name!r}; give another name, or delete it first")
        loaded = adapter if isinstance(adapter, MotionMaskAdapter) else load_adapter(Path(adapter), self.unet.dtype)
        loaded.check_fits(self.unet)
        self._loaded[name] = move_model(loaded, self.unet.device, self.unet.dtype).eval()
        self._scales[name] = 1.0

    def set_adapters(self, names: str | Sequence[str], scales: float | Sequence[float] = 1.0) -> None:
        """Activate these adapters and no others, each at its scale; 0, or no name, is the base model."""
        name_list = [names] if isinstance(names, str) else list(names)
        scale_list = [scales] * len(name_list) if isinstance(scales, (int, float)) else list(scales)
        unknown = sorted(set(name_list) - set(self._all_adapters()))
        if unknown or len(scale_list) != len(name_list):
            loaded = ", ".join(self._all_adapters()) or "none"
            raise InputError(
                f"adapters {name_list} at scales {scale_list}: give one scale each, of those loaded: {loaded}"
            )
        self._scales = dict(zip(name_list, scale_list, strict=True))

    def delete_adapter(self, name: str) -> None:
        """Unload an adapter that `load_adapter` loaded."""
        if self._loaded.pop(name, None) is None:
            raise InputError(f"no adapter was loaded as {name!r}; there are {', '.join(self._loaded) or 'none'}")
        self._scales.pop(name, None)

    def get_active_adapters(self) -> dict[str, float]:
        """Name -> scale of the active adapters."""
        return dict(self._scales)

    def _all_adapters(self) -> dict[str, MotionMaskAdapter]:
        return {**({} if self.adapter is None else {DEFAULT: self.adapter}), **self._loaded}

    def _active_adapters(self, adapter_scale: float) -> dict[str, tuple[MotionMaskAdapter, float]]:
        """Name -> adapter on the UNet's device, and its scale."""
        adapters, device, dtype = self._all_adapters(), self.unet.device, self.unet.dtype
        return {
            name: (move_model(adapters[name], device, dtype), scale * adapter_scale)
            for name, scale in self._scales.items()
        }
