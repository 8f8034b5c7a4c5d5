"""What a pack says of itself (`pack.json`), and where packs are found. Imports nothing heavy."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mvmodel.errors import PackError
from mvmodel.files import user_cache_folder

SHIPPED = Path(__file__).parent
PARTS = ("vae", "unet", "text_encoder", "tokenizer", "scheduler", "controlnet", "segmenter", "scorer")


class SegmenterInfo(BaseModel):
    """Which segment-anything model, and its checkpoint inside the pack."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: str
    checkpoint: str


class ScorerInfo(BaseModel):
    """Which open_clip model: a `folder` of the pack in open_clip's own form, or a `model` name and its checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    folder: str | None = None
    model: str | None = None
    checkpoint: str | None = None


class GenerationInfo(BaseModel):
    """Settings that suit a pack's models; None leaves the choice to `mvmodel.backends.generation_config.GENERIC_SAMPLING`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    steps: int | None = Field(None, ge=1)
    """Denoising steps of the frames after frame 1."""
    guidance_scale: float | None = Field(None, ge=1)
    """Guidance of the frames after frame 1."""
    first_frame_guidance: float | None = Field(None, ge=1)
    """Guidance of frame 1 under the ControlNet."""


class PackInfo(BaseModel):
    """`pack.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    description: str = ""
    licence: str
    resolution: int = Field(gt=0)
    """Side in pixels that clips are brought to."""
    frames: int = Field(ge=2)
    """Frames of a training clip and of a generated video."""
    fps: float = Field(gt=0)
    objects: list[str] = []
    """Object words the models know; empty when the vocabulary is open."""
    backgrounds: dict[str, str] = {}
    """Background name -> the phrase captions use."""
    segmenter: SegmenterInfo
    scorer: ScorerInfo
    start_adapter: str | None = None
    generation: GenerationInfo = GenerationInfo()
    """What settings take that a run leaves open."""
    random: bool = False
    """Weights were drawn at random: fit for tests and benchmarks, and marked so in every report."""
    made_by: dict[str, Any] = {}
    """How the weights were made: configs, seeds, seconds."""
    quality: dict[str, float] = {}
    """What `mvmodel packs check` measured when the pack was assembled."""
    hashes: dict[str, str] = {}
    """File -> SHA-256."""


def default_name() -> str:
    """The pack in use: `MVMODEL_PACK`, else "tiny"."""
    return os.environ.get("MVMODEL_PACK", "tiny")


def pack_folder(name_or_folder: str | Path) -> Path:
    """The folder of a pack: a path as it is, a name among the shipped and the pulled packs.

    Raises PackError that says what to do when there is none.
    """
    given = Path(name_or_folder)
    for folder in (given, SHIPPED / given, user_cache_folder() / "packs" / given):
        if (folder / "pack.json").is_file():
            return folder
    known = ", ".join(sorted(list_packs())) or "none"
    raise PackError(
        f"there is no model pack {str(name_or_folder)!r} (known: {known}); give a folder with a pack.json, or fetch "
        f"one with `mvmodel packs pull sd15`"
    )


def list_packs() -> dict[str, Path]:
    """Name -> folder of the packs on this machine."""
    found = {}
    for root in (SHIPPED, user_cache_folder() / "packs"):
        for file in sorted(root.glob("*/pack.json")):
            found[file.parent.name] = file.parent
    return found


def read_info(folder: Path) -> PackInfo:
    """Read and validate `pack.json`. Raises PackError naming the file."""
    file = folder / "pack.json"
    try:
        return PackInfo.model_validate(json.loads(file.read_text()))
    except (OSError, json.JSONDecodeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise PackError(
            f"{file} does not describe a model pack ({reason}); write it anew or fetch the pack again"
        ) from error
