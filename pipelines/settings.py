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
    """Which clips of a motion are trained on."""

    min_clips: int = Field(default=5, ge=1, description="fewer usable clips than this and nothing is trained")
    max_clips: int = Field(default=8, ge=1, description="the clips nearest to the group's centre are taken")
    held_out: int = Field(default=1, ge=0, description="clips kept out of training, for validation and evaluation")


class RequestConfig(Config):
    """What is generated for a motion."""

    file: str = Field(default="datasets/prompts/requests.csv", description="CSV: motion, prompt, masks, seed")
    count: int = Field(default=4, ge=1, description="how many to make up when the file has none for a motion")
    seed: int = 1


class EvaluationConfig(Config):
    """How a new adapter is measured before it may be used."""

    count: int = Field(default=2, ge=1, description="videos on held-out masks, with prompts of other objects")
    seed: int = 11


class GateConfig(Config):
    """What an adapter has to reach on the evaluation's videos before it may replace the one in use."""

    iou: float = Field(default=0.3, description="least mean IoU of the foreground against the control mask")
    alignment: float = Field(default=0.1, description="least mean cosine between frames and prompt")
    tolerance: float = Field(
        default=0.05, description="how much worse than the adapter in use it may be, in either metric"
    )


class ComparisonConfig(Config):
    """What is made beside the full method for the report."""

    scratch: bool = Field(default=True, description="also train an adapter without the pack's start adapter")
    no_mask: bool = Field(default=True, description="also generate with the mask term off")
    schedulers: int = Field(
        default=1, ge=0, description="on how many requests DDIM at 50 steps and multistep at 20 are compared; 0 is none"
    )


class ExperimentsConfig(Config):
    """Sizes of the experiments that differ from their defaults in `mvmodel.experiments.studies`."""

    quick: bool = Field(default=False, description="the smallest size of every experiment, to see that it runs")
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
    "groups": None,  # mvmodel.motion.GroupConfig
    "training": None,  # mvmodel.training.TrainConfig
    "generation": None,  # mvmodel.generation.GenerationConfig
    "training_set": TrainingSetConfig,
    "requests": RequestConfig,
    "evaluation": EvaluationConfig,
    "gates": GateConfig,
    "comparison": ComparisonConfig,
    "experiments": ExperimentsConfig,
}
"""Sections of a settings file; those with None go to a config class of the library, in comments."""
_TOP = ("clips", "pack", "store", "device", "precision")


def read_file(path: Path) -> dict[str, Any]:
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
    return check(value, str(path))


def check(value: Any, where: str) -> dict[str, Any]:
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


def settings_of(home: Path) -> dict[str, Any]:
    """The settings that `python -m pipelines run` left in a home, with MVMODEL_CONFIG, _CLIPS and _PACK on top."""
    path = home / "settings.json"
    value: dict[str, Any] = read_file(path) if path.exists() else {}
    if named := os.environ.get("MVMODEL_CONFIG"):
        value = merge(value, read_file(Path(named)))
    if clips := os.environ.get("MVMODEL_CLIPS"):
        value = merge(value, {"clips": str(Path(clips).expanduser().resolve())})
    if pack := os.environ.get("MVMODEL_PACK"):
        value = merge(value, {"pack": pack})
    return value


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two levels of settings, `above` winning name by name."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **value} if both else value
    return merged


def write_settings(home: Path, value: dict[str, Any]) -> None:
    write_json(home / "settings.json", value)


def default_clips() -> Path:
    """datasets/raw when it holds a video (or folders of frames), else the shipped samples."""
    raw = REPOSITORY / "datasets" / "raw"
    own = raw.is_dir() and any(p.suffix.lower() in VIDEO_SUFFIXES or p.is_dir() for p in raw.iterdir())
    return raw if own else REPOSITORY / "datasets" / "samples"
