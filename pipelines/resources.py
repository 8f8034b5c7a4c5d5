"""Resources of the assets: the settings of the home, the model pack, and the accelerator.

They import nothing heavy when definitions load. Only a step that needs torch imports it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from mvmodel.config import Model, parse_config
from mvmodel.errors import InputError, PackError
from mvmodel.files import hash_value
from mvmodel.packs.device import resolve_device
from mvmodel.packs.info import (
    PackInfo,
    check_parts,
    find_pack_folder,
    get_default_pack_name,
    has_large_unet,
    hash_pack,
    read_run_info,
)
from mvmodel.picture_size import parse_size_option
from mvmodel.workers import Workers, get_workers
from pipelines import settings as files

if TYPE_CHECKING:
    from mvmodel.backends.backend import Backend
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.packs import Pack

_LOADED_PACKS: dict[tuple[str, ...], Any] = {}
"""Loaded packs, so that a driver that runs many jobs in one process loads each pack once."""


class Settings(dg.ConfigurableResource):
    """The home, the folder of raw clips, and the settings that differ from their defaults.

    `sections` is the content of a settings file. `override` changes settings for one run in the Launchpad;
    `MVMODEL_CONFIG` names a settings file for one command.
    """

    home: str = Field(default="", description="The home. Leave it out to take the one that is in use.")
    clips: str = Field(default="", description="The folder of raw clips. Leave it out to take the home's.")
    sections: dict[str, Any] = Field(
        default_factory=dict,
        description="The content of a settings file. Leave it and `home` out to take the home's.",
    )
    override: dict[str, Any] = Field(
        default_factory=dict,
        description="Settings for this run only, over those of the home, such as {training: {steps: 100}}; see "
        "docs/settings.md. This entry alone is enough.",
    )
    report_address: str = Field(default="", description="Address under which the home's reports are served.")

    @property
    def home_folder(self) -> Path:
        """The home's folder."""
        return Path(self.home) if self.home else files.home_folder()

    @property
    def _stored(self) -> dict[str, Any]:
        """The settings of the home in use, for a run whose config names no home; else empty."""
        return {} if self.home else files.load_settings(files.home_folder())

    @property
    def raw_folder(self) -> Path:
        """The folder of raw clips, whether it exists or not."""
        return Path(self.clips or self._stored.get("clips") or files.default_clips_folder())

    def report_link(self, name: str) -> dg.UrlMetadataValue:
        """The link that opens a page of the folder of reports."""
        address = self.report_address or self._stored.get("report_address") or files.TopLevelConfig().report_address
        return dg.MetadataValue.url(f"{address.rstrip('/')}/{name}")

    @property
    def clips_folder(self) -> Path:
        """The folder of raw clips. Raises InputError if it does not exist."""
        folder = self.raw_folder
        if not folder.exists():
            raise InputError(f"there is no folder of clips at {folder}; name one with --clips or MVMODEL_CLIPS")
        return folder

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Raises InputError, before any step computes, if `override` or the form of a stage holds a wrong setting."""
        files.validate_settings(self.override, "override")
        run_config: Any = context.dagster_run.run_config if context.dagster_run else {}
        forms = {name: entry.get("config") for name, entry in run_config.get("ops", {}).items()}
        for stage, form in forms.items():
            sections = {name: value for name, value in (form or {}).items() if name in files.SECTIONS}
            settings = self.with_override(sections)
            files.validate_settings({name: settings.section(name) for name in sections}, f"config of {stage}")

    def with_override(self, override: Mapping[str, Any]) -> Settings:
        """These settings with others on top, for one step."""
        return self.model_copy(update={"override": files.merge_settings(self.override, dict(override))})

    def section(self, name: str) -> dict[str, Any]:
        """The settings of a section that differ from their defaults."""
        sections = files.merge_settings(self._stored, self.sections)
        return dict(files.merge_settings(sections, self.override).get(name, {}))

    def read(self, name: str, model: type[Model], **defaults: Any) -> Model:
        """Read a section as its settings class.

        defaults: replace those of the class where it has such a field. Raises InputError naming the wrong setting.
        """
        field_defaults = {key: value for key, value in defaults.items() if key in model.model_fields}
        return parse_config(model, {**field_defaults, **self.section(name)}, name)

    def path(self, name: str) -> Path:
        """The path of a file in the settings; a relative one starts at the repository."""
        path = Path(name).expanduser()
        return path if path.is_absolute() else files.REPOSITORY / path


class PackResource(dg.ConfigurableResource):
    """The model pack of all assets: a name such as "tiny", or a folder. Its models are loaded on first use."""

    name: str = Field(
        default="", description="Name of a pack, such as tiny, or a folder. Empty: MVMODEL_PACK, or tiny."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N.")
    dtype: str = Field(default="auto", description="auto, float32, float16 or bfloat16; auto is float16 on a GPU.")
    size: str = Field(default="", description="Width and height of videos, as 512x320. Empty: the pack's own size.")
    memory: str = Field(default="auto", description="auto, 24gb, 16gb, 12gb or 8gb: how much is done to save memory.")

    workers: int = 1
    """Processes that work side by side in one step, on a CPU."""

    def get_workers(self) -> Workers:
        """The processes that train, generate and measure side by side; with a GPU, this process alone."""
        return get_workers(1 if self.workers == 1 or resolve_device(self.device) != "cpu" else self.workers)

    def load(self) -> Pack:
        """The pack. Raises PackError naming it if it is missing or incomplete, InputError if it cannot do `size`."""
        key = (self.name, self.device, self.dtype, self.size, self.memory)
        if key not in _LOADED_PACKS:
            from mvmodel.packs import load_pack

            size = parse_size_option(self.size or None, "size")
            _LOADED_PACKS[key] = load_pack(self.name or None, self.device, self.dtype, size, self.memory)
        return _LOADED_PACKS[key]

    def backend(self) -> Backend:
        """The backend that trains and samples with the pack's models."""
        from mvmodel.backends.load import load_backend

        return load_backend(self.load())

    @property
    def info(self) -> PackInfo:
        """The pack's `pack.json` with the size of the run; loads no model. Raises what `load` raises."""
        return self._read()[1]

    def generation(self, settings: Settings) -> GenerationConfig:
        """The section "generation" of the settings; the pack's own values replace defaults."""
        from mvmodel.backends.generation_config import GenerationConfig

        return settings.read("generation", GenerationConfig).for_pack(self.info)

    def describe_slow_stages(self, settings: Settings) -> str:
        """How long training, videos and the judge take on a CPU with large models, as a sentence; else ""."""
        try:
            folder, info = self._read()
        except (InputError, PackError):
            return ""  # the stage that needs the pack says what is wrong with it
        if not has_large_unet(folder):
            return ""  # without importing PyTorch, which takes seconds
        from mvmodel.backends.training_config import TrainConfig
        from mvmodel.packs.cpu_time import describe_slow_stages

        return describe_slow_stages(
            *(folder, info, resolve_device(self.device)),
            training_steps=settings.read("training", TrainConfig).for_pack(info).steps,
            denoising_steps=self.generation(settings).steps,
            judge=True,
        )

    def recipe(self, *parts: str) -> dict[str, str]:
        """The pack's name and hash, for a recipe: of the given parts if the pack lists their hashes, else of all."""
        folder, info = self._read()
        files = {file: sha for file, sha in info.hashes.items() if file.split("/")[0] in parts}
        has_all_parts = all(any(file.split("/")[0] == part for file in files) for part in parts)
        return {"name": info.name, "hash": hash_value(files) if parts and has_all_parts else hash_pack(folder, info)}

    def _read(self) -> tuple[Path, PackInfo]:
        """The pack's folder and its `pack.json`. Reading them takes no torch, which takes seconds to import."""
        folder = find_pack_folder(self.name or get_default_pack_name())
        info = read_run_info(folder, parse_size_option(self.size or None, "size"))
        check_parts(folder)
        return folder, info


class PackInfoResource(dg.ConfigurableResource):
    """What `pack.json` says of the pack, for steps that load none of its models and need not wait for the GPU."""

    pack: PackResource

    @property
    def info(self) -> PackInfo:
        """The pack's `pack.json` with the size of the run."""
        return self.pack.info


class Gpu(dg.ConfigurableResource):
    """The accelerator: device and precision. Its pool runs one step at a time."""

    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N.")
    precision: str = Field(
        default="auto",
        description="auto, fp32, bf16 or fp16; auto is bf16 where the GPU has it, fp16 on an older one, fp32 on a CPU.",
    )

    def get_hardware(self) -> dict[str, Any]:
        """{"device", "precision", "memory_gb"}. Raises InputError if the device does not exist."""
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
        """Peak memory since the process started, in GB: of the GPU if there is one, else of the process."""
        import resource

        import torch

        if torch.cuda.is_available():
            return round(torch.cuda.max_memory_allocated() / 2**30, 3)
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)


__all__ = ["Gpu", "PackError", "PackInfoResource", "PackResource", "Settings"]
