"""What can be downloaded of a finished video: the video in several formats, its masks, and its settings."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.files import write_masks
from mvmodel.masks.preview import colour_masks
from mvmodel.masks.sequence import MaskSequence
from mvmodel.text import motion_slug
from mvmodel.video.frames import read_frames
from mvmodel.video.video_files import write_video

FORMATS = {
    "mp4": "video/mp4",
    "webm": "video/webm",
    "gif": "image/gif",
    "webp": "image/webp",
    "frames": "application/zip",
    "masks": "application/zip",
    "npz": "application/octet-stream",
    "beside": "video/mp4",
    "settings": "application/json",
    "request": "application/zip",
}
"""What can be downloaded, and its media type."""


WITHOUT_MOTION = "studio"
"""The motion of a row whose video was made with the pack's own adapter."""
_TABLE_README = """mvmodel generate --requests requests.csv --out videos
makes this video; with another adapter than the pack's own, add --adapter FOLDER.

The pipeline makes the rows whose motion is one of its own (here: {motion}). Add this row to its request table, the
masks beside it, and the section "generation" of settings.json to its settings.
"""


def export_video(folder: Path, kind: str) -> tuple[bytes, str, str]:
    """(content, media type, file name) of a download. Raises InputError for an unknown kind.

    folder: of a finished video in a session.
    """
    if kind not in FORMATS:
        raise InputError(f"there is no download {kind!r}; there are {', '.join(FORMATS)}")
    record = json.loads((folder / "video.json").read_text())
    name = f"{motion_slug(record['prompt'])[:40].strip('-') or 'video'}-{record['seed']}"
    if kind == "mp4":
        return (folder / "video.mp4").read_bytes(), FORMATS[kind], f"{name}.mp4"
    if kind == "settings":
        return (folder / "video.settings.json").read_bytes(), FORMATS[kind], f"{name}.settings.json"
    if kind == "npz":
        return (folder / "masks.npz").read_bytes(), FORMATS[kind], f"{name}.masks.npz"
    if kind == "request":
        return _request_archive(folder, record, name), FORMATS[kind], f"{name}.request.zip"
    sequence, fps = MaskSequence.load(folder / "masks.npz"), float(record["fps"])
    with tempfile.TemporaryDirectory() as temporary:
        if kind == "masks":
            return _zip_folder(write_masks(Path(temporary) / "masks", sequence)), FORMATS[kind], f"{name}.masks.zip"
        frames = read_frames(folder / "frames.npz")
        if kind == "frames":
            return _zip_folder(write_video(Path(temporary) / "f", frames, fps)), FORMATS[kind], f"{name}.frames.zip"
        if kind == "beside":
            frames = np.concatenate([colour_masks(sequence), frames], axis=2)
        suffix = "mp4" if kind == "beside" else kind
        content = write_video(Path(temporary) / f"video.{suffix}", frames, fps).read_bytes()
    return content, FORMATS[kind], f"{name}{'-beside-masks' if kind == 'beside' else ''}.{suffix}"


def is_table_row(record: dict[str, Any]) -> bool:
    """Whether a row of a request table can say how the video of this record is made."""
    choices = record["project"]["generation"]
    return choices.get("first_frame") is None and choices.get("mask_term", True)


def _zip_folder(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return content.getvalue()


def _request_archive(folder: Path, record: dict[str, Any], name: str) -> bytes:
    """A request table with one row, its masks, and the section `generation` of a settings file of the pipeline.

    Raises InputError for a video that no table describes.
    """
    if not is_table_row(record):
        raise InputError(
            "a request table has neither pictures for frame 1 nor a switch for the mask term; download the settings"
        )
    settings = json.loads((folder / "video.settings.json").read_text())
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["name", "motion", "prompt", "masks", "seed", "negative_prompt"])
    adapter = record["project"]["generation"].get("adapter", "")  # the pipeline's are called as their motions
    motion = motion_slug(adapter.split(" / ")[0]) if adapter else WITHOUT_MOTION
    request = [name, motion, settings["prompt"], f"masks/{name}.npz", settings["seed"], settings["negative_prompt"]]
    rows.writerow(request)
    pipeline_settings = {"size": settings["size"], "generation": settings["config"]}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("requests.csv", table.getvalue())
        archive.write(folder / "masks.npz", f"masks/{name}.npz")
        archive.writestr("README.txt", _TABLE_README.format(motion=motion))
        archive.writestr("settings.json", json.dumps(pipeline_settings, indent=2) + "\n")
    return content.getvalue()
