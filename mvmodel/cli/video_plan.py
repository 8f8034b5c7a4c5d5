"""The videos that `mvmodel generate` is asked for, and their files. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.cli.inputs import check_mask_options
from mvmodel.errors import InputError

if TYPE_CHECKING:
    from mvmodel.generation.requests import Request
    from mvmodel.masks.fit import Fit
    from mvmodel.picture_size import PictureSize


@dataclass(frozen=True)
class Choices:
    """What the user chose. None, or empty, is what was not given: the settings file's, else the default."""

    prompt: str | None
    negative_prompt: str | None
    seeds: tuple[int, ...]
    masks: Path | None
    instances: Sequence[tuple[str, Path]]
    adapter: Path | None
    first_frame: Path | None
    first_frame_at: int
    strict: bool
    mask_term: bool | None
    size: PictureSize | None
    fit: Fit | None
    every: int | None
    pack: str | None
    memory: str | None
    options: dict[str, Any]


@dataclass(frozen=True)
class PlannedVideo:
    """A video and its files. seed: None takes the settings file's, or the request's. request: of a table."""

    out: Path
    preview: Path | None
    seed: int | None = None
    request: Request | None = None


def plan_videos(
    out: Path, preview: Path | None, choices: Choices, settings: Path | None, requests: Path | None
) -> list[PlannedVideo]:
    """The videos to generate and where they go. Raises InputError for options that do not go together."""
    if requests is not None:
        from mvmodel.generation.request_table import read_requests

        if out.suffix:
            raise InputError(f"--requests makes several videos; give a folder as --out instead of {out}")
        rows = read_requests(requests)
        return [PlannedVideo(out / f"{r.name}.mp4", _add_label(preview, r.name), request=r) for r in rows]
    if settings is None or choices.masks is not None or choices.instances:
        check_mask_options(choices.masks, [words for words, _ in choices.instances])
    if choices.every is not None and choices.masks is None and not choices.instances:
        raise InputError("--every is about the masks of --masks or --instance; give them")
    if settings is None and choices.prompt is None:
        raise InputError("give what the video shows with --prompt, or a file of settings with --settings")
    if len(choices.seeds) < 2:
        return [PlannedVideo(out, preview, choices.seeds[0] if choices.seeds else None)]
    return [PlannedVideo(_add_label(out, seed) or out, _add_label(preview, seed), seed) for seed in choices.seeds]


def _add_label(path: Path | None, label: str | int) -> Path | None:
    return None if path is None else path.with_name(f"{path.stem}-{label}{path.suffix}")
