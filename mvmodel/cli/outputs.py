"""The outputs of the commands, for the rule in `mvmodel.outputs`."""

from __future__ import annotations

from pathlib import Path

from mvmodel.files import rate_file
from mvmodel.outputs import Output
from mvmodel.packs.sources import PULL_STATE

MASK_SUFFIXES = (".npz", ".json", ".gif", ".mp4")
PREVIEW_SUFFIXES = (".gif", ".mp4")
VIDEO_SUFFIXES = (".mp4", ".webm", ".gif", ".webp")


def mask_inputs(*paths: Path) -> list[Path]:
    """Masks that are read, and the files with their frame rates that may be beside folders."""
    return [*paths, *(rate_file(path) for path in paths)]


def mask_outputs(out: Path, preview: Path | None = None) -> list[Output]:
    """A mask sequence and its preview. Without a suffix it is a folder, with a file for the frame rate beside it."""
    masks = [Output(out, suffixes=MASK_SUFFIXES)]
    if out.suffix == "":
        masks = [Output(out, folder=True), Output(rate_file(out))]
    return [*masks, *(preview_outputs(preview, "--preview") if preview else [])]


def preview_outputs(preview: Path, option: str) -> list[Output]:
    """An animation, and the contact sheet that is written next to it."""
    sheet = preview.with_name(f"{preview.stem}-sheet.png")
    return [Output(preview, option, suffixes=PREVIEW_SUFFIXES), Output(sheet, option)]


def adapter_output(out: Path) -> Output:
    """The folder of `mvmodel train`. An interrupted or finished run of it is resumed, not refused."""
    return Output(out, folder=True, markers=("adapter/train.json", "work/recipe"))


def video_outputs(out: Path, preview: Path | None = None, created: bool = False) -> list[Output]:
    """A generated video, its exact frames, its settings, and the preview beside its masks.

    created: Whether the folder is created if it is missing.
    """
    video = Output(out, folder=out.suffix == "", suffixes=VIDEO_SUFFIXES if out.suffix else (), created=created)
    others = [Output(video_frames_file(out), created=created), Output(video_settings_file(out), created=created)]
    return [video, *others, *([Output(preview, "--preview", suffixes=VIDEO_SUFFIXES)] if preview else [])]


def video_frames_file(out: Path) -> Path:
    """Where the exact frames of a video are written."""
    return out.with_suffix(".frames.npz")


def video_settings_file(out: Path) -> Path:
    """Where the settings of a video are written."""
    return out.with_suffix(".settings.json")


def pack_output(folder: Path) -> Output:
    """The folder of `mvmodel packs pull`, which skips files that are there and resumes a download."""
    return Output(folder, "--to", folder=True, markers=("pack.json", PULL_STATE))
