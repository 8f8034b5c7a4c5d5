"""What assets are given beside their inputs: the settings of this home, the model pack, the one GPU (or CPU).

All are small and import nothing heavy when definitions load; a step that needs torch pays for it, no other does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from mvmodel.config import Model, parse_config
from mvmodel.errors import InputError, PackError
from mvmodel.packs.device import resolve_device
from pipelines import settings as files

if TYPE_CHECKING:
    from mvmodel.backends.backend import Backend
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.packs import Pack

_LOADED_PACKS: dict[tuple[str, str, str], Any] = {}
"""Packs by name: a driver that runs many jobs in one process loads one once."""


class Settings(dg.ConfigurableResource):
    """Where things are, and the sections of numbers that differ from the library's defaults.

    `sections` is what a settings file holds; one run may override parts of it with `override` in the Launchpad, and a
    command with a settings file of its own in `MVMODEL_CONFIG`.
    """

    home: str
    clips: str
    sections: dict[str, Any] = Field(default_factory=dict)
    override: dict[str, Any] = Field(default_factory=dict)

    @property
    def home_folder(self) -> Path:
        return Path(self.home)

    @property
    def clips_folder(self) -> Path:
        """The folder of raw clips. Raises InputError when it does not exist."""
        folder = Path(self.clips)
        if not folder.exists():
            raise InputError(f"there is no folder of clips at {folder}; name one with --clips or MVMODEL_CLIPS")
        return folder

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Raises InputError, before any step computes, if `override` holds a wrong setting."""
        files.validate_settings(self.override, "override")

    def section(self, name: str) -> dict[str, Any]:
        """The settings of a section that differ from their defaults."""
        return dict(files.merge_settings(self.sections, self.override).get(name, {}))

    def read(self, name: str, model: type[Model], **defaults: Any) -> Model:
        """A section as `model`; `defaults` stand in for the model's own. Raises InputError saying what does not fit."""
        known = {key: value for key, value in defaults.items() if key in model.model_fields}
        return parse_config(model, {**known, **self.section(name)}, name)

    def path(self, named: str) -> Path:
        """A file named in the settings, relative to the repository."""
        path = Path(named).expanduser()
        return path if path.is_absolute() else files.REPOSITORY / path


class PackResource(dg.ConfigurableResource):
    """The model pack that every stage shares: a name such as "tiny" or a folder. Loaded on first use, part by part."""

    name: str = ""
    device: str = "auto"
    dtype: str = "auto"
    """auto, float32, float16 or bfloat16; auto is float16 on a GPU."""

    def load(self) -> Pack:
        """The pack. Raises PackError naming it when it is missing or incomplete."""
        key = (self.name, self.device, self.dtype)
        if key not in _LOADED_PACKS:
            from mvmodel.packs import load_pack

            _LOADED_PACKS[key] = load_pack(self.name or None, self.device, self.dtype)
        return _LOADED_PACKS[key]

    def backend(self) -> Backend:
        """The backend that trains and samples with the pack's models."""
        from mvmodel.backends.load import load_backend

        return load_backend(self.load())

    def generation(self, settings: Settings) -> GenerationConfig:
        """The settings' section "generation", with the pack's own numbers where the section says nothing."""
        from mvmodel.backends.generation_config import GenerationConfig

        return settings.read("generation", GenerationConfig).for_pack(self.load().info)

    def recipe(self, *parts: str) -> dict[str, str]:
        """Name and hash for a recipe: of the named parts where the pack tells them apart, else of all of it."""
        from mvmodel.files import hash_value

        pack = self.load()
        hashes = dict(getattr(pack.info, "hashes", None) or {})
        chosen = {n: h for n, h in hashes.items() if n.split("/")[0] in parts}
        every_part = all(any(n.split("/")[0] == part for n in chosen) for part in parts)
        return {"name": pack.info.name, "hash": hash_value(chosen) if parts and every_part else pack.hash}


class Gpu(dg.ConfigurableResource):
    """The one accelerator. Its pool lets one step in at a time; this says which device, precision and memory it has."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: str = "auto"
    """auto, fp32, bf16 or fp16; auto is bf16 where the GPU has it, fp16 on an older one, fp32 on a CPU."""

    def get_hardware(self) -> dict[str, Any]:
        """{"device", "precision", "memory_gb"}. Raises InputError when a named device is not there."""
        import torch

        device = resolve_device(self.device)
        precision = self.precision
        if precision == "auto":
            on_gpu = device.startswith("cuda")
            precision = ("bf16" if torch.cuda.is_bf16_supported() else "fp16") if on_gpu else "fp32"
        if precision not in ("fp32", "bf16", "fp16"):
            raise InputError(f"precision {precision!r} is not one of auto, fp32, bf16, fp16")
        if device.startswith("cuda"):
            memory = torch.cuda.get_device_properties(device).total_memory
        else:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return {"device": device, "precision": precision, "memory_gb": round(memory / 2**30, 1)}

    def peak_memory_gb(self) -> float:
        """Peak memory since the process began: of the GPU when there is one, else of the process."""
        import resource

        import torch

        if torch.cuda.is_available():
            return round(torch.cuda.max_memory_allocated() / 2**30, 3)
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)


__all__ = ["Gpu", "PackError", "PackResource", "Settings"]
