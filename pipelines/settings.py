"""What a home folder is set up to do: where the clips are, which pack, and every number that differs from a default.

Belongs here: reading and checking settings. What a number means stands at the library's own config; a section here is
handed to it unchanged, so an unknown name is refused by the library with its own message.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import Field

from mvmodel.config import Config, parse_config
from mvmodel.errors import InputError
from mvmodel.files import write_json

REPOSITORY = Path(__file__).resolve().parent.parent
VIDEO_SUFFIXES = (
    ".mp4",
    ".mov",
    ".mkv",
    ".avi",
    ".webm",
    ".m4v",
    ".gif",
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
    count: int = Field(default=4, ge=1)
    """Default requests per motion, created when the file has none for it."""
    seed: int = 1
    """Seed of the default requests."""


class EvaluationConfig(Config):
    """How a new adapter is measured before it can be promoted."""

    count: int = Field(default=2, ge=1)
    """Videos to generate, on held-out masks and with prompts of other objects."""
    seed: int = 11
    """Seed of the evaluation requests."""


class GateConfig(Config):
    """What an adapter must reach on the evaluation videos before it replaces the promoted one."""

    min_iou: float = 0.3
    """Lowest accepted mean IoU of the detected foreground and the control masks."""
    min_alignment: float = 0.1
    """Lowest accepted mean cosine similarity of the frames and the prompt."""
    max_regression: float = 0.05
    """How much lower than the promoted adapter's each of the two metrics may be."""


class ComparisonConfig(Config):
    """Which videos are generated for comparison with the full method."""

    scratch: bool = True
    """Also train an adapter without the pack's start adapter, and generate with it."""
    no_mask: bool = True
    """Also generate with the mask term turned off."""
    scheduler_requests: int = Field(default=1, ge=0)
    """Number of requests that are also generated with DDIM at 50 steps and DPM++ at 20 steps; 0 turns this off."""


class ExperimentsConfig(Config):
    """Sizes of the experiments that differ from their defaults in `mvmodel.experiments.studies`."""

    quick: bool = False
    """Run every experiment at its smallest size, to see that it works."""
    ablation_study: dict[str, Any] = {}
    noise_sharing_sweep: dict[str, Any] = {}
    mask_generalization: dict[str, Any] = {}
    mask_robustness: dict[str, Any] = {}
    first_frame_sensitivity: dict[str, Any] = {}
    long_video_drift: dict[str, Any] = {}
    zero_shot_motion: dict[str, Any] = {}


SECTIONS = {
    "ingest": None,  # mvmodel.video.IngestConfig
    "masks": None,  # mvmodel.segmentation.ExtractConfig
    "groups": None,  # mvmodel.motion.config.GroupConfig
    "training": None,  # mvmodel.training.TrainConfig
    "generation": None,  # mvmodel.generation.GenerationConfig
    "training_set": TrainingSetConfig,
    "requests": RequestsConfig,
    "evaluation": EvaluationConfig,
    "gates": GateConfig,
    "comparison": ComparisonConfig,
    "experiments": ExperimentsConfig,
}
"""Sections of a settings file; those with None go to a config class of the library, in comments."""
_TOP = ("clips", "pack", "store", "device", "precision")


def read_settings_file(path: Path) -> dict[str, Any]:
    """Read a settings file (.yaml or .json). Raises InputError naming the file and what is wrong with it."""
    path = Path(path)
    try:
        if path.suffix == ".json":
            value = json.loads(path.read_text())
        else:
            import yaml

            value = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise InputError(f"settings file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"settings file {path} is not valid: {error}") from error
    except Exception as error:  # yaml's errors derive from Exception only
        raise InputError(f"settings file {path} is not valid YAML: {error}") from error
    return validate_settings(value, str(path))


def validate_settings(value: Any, where: str) -> dict[str, Any]:
    """`value` if its names are known and our own sections fit; raises InputError naming `where` otherwise."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: settings are a table of sections, not {type(value).__name__}")
    for name, content in value.items():
        if name in _TOP:
            continue
        if name not in SECTIONS:
            raise InputError(f"{where}: no section {name!r}; there are {', '.join([*_TOP, *SECTIONS])}")
        if not isinstance(content, dict):
            raise InputError(f"{where}: section {name!r} is a table of settings, not {type(content).__name__}")
        if (model := SECTIONS[name]) is not None:
            parse_config(model, content, f"{where}, section {name}")
    return value


def home_folder() -> Path:
    """The folder that DAGSTER_HOME lies in, else .mvmodel/home in the repository; absolute.

    A home holds dagster/ (the instance, DAGSTER_HOME), store/, work/, reports/ and settings.json.
    """
    if named := os.environ.get("DAGSTER_HOME"):
        instance = Path(named).expanduser().resolve()
        return instance.parent if instance.name == "dagster" else instance
    return REPOSITORY / ".mvmodel" / "home"


def load_settings(home: Path) -> dict[str, Any]:
    """The settings that `python -m pipelines run` left in a home, with MVMODEL_CONFIG, _CLIPS and _PACK on top."""
    path = home / "settings.json"
    value: dict[str, Any] = read_settings_file(path) if path.exists() else {}
    if named := os.environ.get("MVMODEL_CONFIG"):
        value = merge_settings(value, read_settings_file(Path(named)))
    if clips := os.environ.get("MVMODEL_CLIPS"):
        value = merge_settings(value, {"clips": str(Path(clips).expanduser().resolve())})
    if pack := os.environ.get("MVMODEL_PACK"):
        value = merge_settings(value, {"pack": pack})
    return value


def merge_settings(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two levels of settings, `above` winning name by name."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **value} if both else value
    return merged


def write_settings(home: Path, value: dict[str, Any]) -> None:
    write_json(home / "settings.json", value)


def default_clips_folder() -> Path:
    """datasets/raw when it holds a video (or folders of frames), else the shipped samples."""
    raw = REPOSITORY / "datasets" / "raw"
    own = raw.is_dir() and any(p.suffix.lower() in VIDEO_SUFFIXES or p.is_dir() for p in raw.iterdir())
    return raw if own else REPOSITORY / "datasets" / "samples"
