"""Reads and validates the settings of a home folder: clips, pack, and every value that differs from its default.

Each section belongs to one settings class (`SECTIONS`), most of them in `mvmodel`. docs/settings.md lists them all.
"""

from __future__ import annotations

import difflib
import importlib
import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from mvmodel.config import Config, parse_config
from mvmodel.errors import InputError
from mvmodel.files import write_json
from mvmodel.picture_size import Size
from mvmodel.text_files import read_text
from pipelines.store.address import check_address, check_options

_CHECKOUT = Path(__file__).resolve().parent.parent
REPOSITORY = _CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else Path.cwd()
"""The repository; of an installed package, which has none, the current folder: where homes and data sets are."""
_DAGSTER_FILES = _CHECKOUT if REPOSITORY == _CHECKOUT else Path(__file__).parent
INSTANCE_FILE, WORKSPACE_FILE = _DAGSTER_FILES / "dagster.yaml", _DAGSTER_FILES / "workspace.yaml"
"""What a new home's dagster.yaml is copied from, and what Dagster's commands load; in a package, beside this file."""
REPORT_PORT = 3001
"""Port on which `mvmodel-pipeline ui` serves reports."""
VIDEO_SUFFIXES = (
    ".mp4",
    ".mov",
    ".mkv",
    ".avi",
    ".webm",
    ".m4v",
    ".gif",
    ".webp",
    ".png",
    ".apng",
    ".tif",
    ".tiff",
    ".mpg",
    ".mpeg",
    ".ts",
    ".wmv",
    ".flv",
    ".3gp",
)


class TrainingSetConfig(Config):
    """Which clips of a motion an adapter is trained on."""

    min_clips: int = Field(default=5, ge=1)
    """A motion with fewer usable clips is not trained."""
    max_clips: int = Field(default=8, ge=1)
    """At most this many clips are used: those nearest to the center of the motion's cluster."""
    held_out: int = Field(default=1, ge=0)
    """Clips kept out of training for validation and evaluation."""


class RequestsConfig(Config):
    """Which videos are generated for a motion."""

    file: str = "datasets/prompts/requests.csv"
    """CSV file with the columns motion, prompt, masks and seed. A relative path starts at the repository."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """How the file's masks of another shape are fitted: a window around the foreground, padding, or stretching."""
    count: int = Field(default=4, ge=1, le=10_000)
    """Default requests per motion, created when the file has none for it."""
    seed: int = 1
    """Seed of the default requests."""


class EvaluationConfig(Config):
    """How a new adapter is measured before it can be promoted."""

    count: int = Field(default=2, ge=1, le=1000)
    """Videos to generate, on held-out masks and with prompts of other objects."""
    seed: int = 11
    """Seed of the evaluation requests."""


class GateConfig(Config):
    """What an adapter must reach on the evaluation videos before it replaces the promoted one."""

    min_iou: float = 0.3
    """Lowest accepted mean IoU of the detected foreground and the control masks."""
    min_alignment: float = 0.1
    """Lowest accepted mean cosine similarity of the frames and the prompt."""
    min_mask_gain: float = 0.0
    """The mean IoU must exceed that of the same videos with the mask term off by more than this; else the adapter does
    not follow its masks."""
    max_regression: float = Field(default=0.05, ge=0)
    """How much lower than the promoted adapter's each of the two metrics may be."""


class ComparisonConfig(Config):
    """Which videos are generated for comparison with the full method."""

    scratch: bool = True
    """Also train an adapter without the pack's start adapter, and generate with it."""
    scratch_requests: int | None = Field(default=None, ge=1)
    """Number of requests that are generated with that adapter; null is all."""
    no_mask: bool = True
    """Also generate with the mask term turned off."""
    not_tuned: bool = True
    """Also generate with the pack's start adapter, from which the adapter was tuned, to show what tuning brings. These
    videos are made once for the same requests and pack, whatever the adapter."""
    scheduler_requests: int = Field(default=1, ge=0)
    """Number of requests that are also generated with DDIM at 50 steps and DPM++ at 20 steps; 0 turns this off."""


SECTIONS: dict[str, str] = {
    "ingest": "mvmodel.video.config:IngestConfig",
    "masks": "mvmodel.segmentation.config:ExtractConfig",
    "groups": "mvmodel.motion.config:GroupConfig",
    "training_set": "pipelines.settings:TrainingSetConfig",
    "training": "mvmodel.backends.training_config:TrainConfig",
    "generation": "mvmodel.backends.generation_config:GenerationConfig",
    "requests": "pipelines.settings:RequestsConfig",
    "evaluation": "pipelines.settings:EvaluationConfig",
    "judge": "mvmodel.metrics.config:JudgeConfig",
    "gates": "pipelines.settings:GateConfig",
    "comparison": "pipelines.settings:ComparisonConfig",
    "experiments": "mvmodel.experiments.config:ExperimentsConfig",
    "automation": "pipelines.automation_config:AutomationConfig",
}
"""Section of a settings file -> its class, as module:name. A class is imported only to validate or read its section."""


class TopLevelConfig(Config):
    """Settings that stand outside the sections."""

    clips: str = ""
    """Folder of raw clips; by default datasets/raw, or datasets/samples if that holds no video."""
    pack: str = ""
    """Model pack: a name such as tiny, or a folder. By default MVMODEL_PACK, or tiny."""
    size: Size | None = None
    """Width and height of clips, masks and videos in pixels, as "512x320", or one number for a square. Both must be
    multiples of what the pack's autoencoder and UNet divide by: 32 for tiny, 64 for sd15. By default the pack's."""
    store: str = ""
    """Where versions of assets are stored: a folder or an fsspec address such as s3://bucket/mvmodel. Secrets do not
    belong in the address."""
    store_options: dict[str, Any] = Field(default_factory=dict)
    """Options of the store's file system, as fsspec names them, for example endpoint_url. `{env: NAME}` stands for the
    value of an environment variable; secrets are accepted only in this form."""
    verify_hours: float = Field(default=24.0, ge=0)
    """Stored files are hashed again when they are used and so many hours have passed. Changes that the file system
    reports are noticed at once. 0 hashes them at every use."""
    report_address: str = Field(default=f"http://127.0.0.1:{REPORT_PORT}", pattern="^https?://")
    """Address under which the home's folder of reports is served, for the links in Dagster's UI. `make ui` serves it on
    this machine; with a shared home, name the address at which yours does."""
    executor: str = Field(default="in_process", pattern="^(in_process|multiprocess|ray|kubernetes)$")
    """in_process, multiprocess, ray or kubernetes: where the steps of runs that Dagster launches run. In the run's own
    process, libraries and models are loaded once per run; a process per step gives its memory back when it ends. See
    docs/scaling.md. `mvmodel-pipeline run` always runs them in its own process."""
    mask_steps: int = Field(default=1, ge=1, le=64)
    """Steps that compute the masks of the clips side by side, each its share, before they are put together. With the
    executors multiprocess, ray and kubernetes only; one for each machine or GPU is a good choice."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that train the adapters of a motion, generate its videos and measure them, several at once, each with a
    share of the cores. Small models make better use of two cores with 2. Every process loads the models (1 GB of memory
    with tiny). With a GPU it is always 1."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    memory: str = Field(default="auto", pattern="^(auto|24gb|16gb|12gb|8gb)$")
    """auto, 24gb, 16gb, 12gb or 8gb: how much is done to save memory. `auto` chooses by the free memory, see
    `mvmodel.packs.memory`; if memory runs out all the same, the next smaller plan is tried once."""
    precision: str = "auto"
    """auto, fp32, bf16 or fp16; auto takes bf16 on GPUs that have it, fp16 on older GPUs and fp32 on CPUs."""

    @field_validator("store")
    @classmethod
    def _store_holds_no_secret(cls, address: str) -> str:
        return check_address(address)

    @field_validator("store_options")
    @classmethod
    def _options_hold_no_secret(cls, options: dict[str, Any]) -> dict[str, Any]:
        check_options(options)
        return options


def section_model(name: str) -> type[Config]:
    """The settings class of a section."""
    module, _, attribute = SECTIONS[name].partition(":")
    model: type[Config] = getattr(importlib.import_module(module), attribute)
    return model


def read_settings_file(path: Path) -> dict[str, Any]:
    """Read and validate a settings file, .yaml or .json.

    Raises:
        InputError: Names the file, the section and the setting that is wrong.
    """
    path = Path(path)
    try:
        text = read_text(path)
        if path.suffix == ".json":
            content = json.loads(text)
        else:
            import yaml

            content = yaml.safe_load(text) or {}
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"settings file {path} is not valid: {error}") from error
    except Exception as error:  # yaml's errors derive from Exception only
        raise InputError(f"settings file {path} is not valid YAML: {error}") from error
    return validate_settings(content, str(path))


def validate_settings(content: Any, where: str) -> dict[str, Any]:
    """Return `content` if every section and every setting in it is valid.

    Raises:
        InputError: Names `where`, the section and the setting that is wrong.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where}: settings must be a table of sections, not {type(content).__name__}")
    top_level = {name: value for name, value in content.items() if name in TopLevelConfig.model_fields}
    parse_config(TopLevelConfig, {name: value for name, value in top_level.items() if value is not None}, where)
    for name, section in content.items():
        if name in top_level:
            continue
        if name not in SECTIONS:
            names = [*SECTIONS, *TopLevelConfig.model_fields]
            nearest = difflib.get_close_matches(str(name), names, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(names)}"
            raise InputError(f"{where}: no section {name!r}; {hint}")
        if not isinstance(section, dict):
            raise InputError(f"{where}: section {name!r} must be a table of settings, not {type(section).__name__}")
        if name == "ingest" and (size_settings := {"size", "resolution"} & section.keys()):
            raise InputError(
                f"{where}: ingest: {size_settings.pop()} is one size for all stages; write size outside of sections"
            )
        parse_config(section_model(name), section, f"{where}: {name}")
    return content


def home_folder() -> Path:
    """The home: the parent of DAGSTER_HOME if that is set, else .mvmodel/home in the repository. Absolute.

    A home contains dagster/ (the instance, DAGSTER_HOME), store/, work/, reports/ and settings.json.
    """
    if variable := os.environ.get("DAGSTER_HOME"):
        instance = Path(variable).expanduser().resolve()
        return instance.parent if instance.name == "dagster" else instance
    return REPOSITORY / ".mvmodel" / "home"


def load_settings(home: Path) -> dict[str, Any]:
    """The settings of a home: those of its last `mvmodel-pipeline run`, overridden by MVMODEL_CONFIG, _CLIPS and _PACK.

    Raises InputError naming the file, the section and the setting that is wrong.
    """
    path = home / "settings.json"
    settings: dict[str, Any] = read_settings_file(path) if path.exists() else {}
    if config := os.environ.get("MVMODEL_CONFIG"):
        settings = merge_settings(settings, read_settings_file(Path(config)))
    if clips := os.environ.get("MVMODEL_CLIPS"):
        settings = merge_settings(settings, {"clips": str(Path(clips).expanduser().resolve())})
    if pack := os.environ.get("MVMODEL_PACK"):
        settings = merge_settings(settings, {"pack": pack})
    return settings


def merge_settings(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """`base` with the settings of `override`; sections and the tables in them are merged setting by setting."""
    merged = dict(base)
    for name, value in override.items():
        are_tables = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = merge_settings(merged[name], value) if are_tables else value
    return merged


def write_settings(home: Path, settings: dict[str, Any]) -> None:
    """Write settings.json of a home."""
    write_json(home / "settings.json", settings)


def default_clips_folder() -> Path:
    """datasets/raw if it contains a video or a folder of frames, else the shipped samples."""
    raw = REPOSITORY / "datasets" / "raw"
    has_footage = raw.is_dir() and any(p.suffix.lower() in VIDEO_SUFFIXES or p.is_dir() for p in raw.iterdir())
    return raw if has_footage else REPOSITORY / "datasets" / "samples"
