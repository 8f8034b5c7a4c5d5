"""Names of ingested clips."""

from __future__ import annotations

from pathlib import Path

from mvmodel.text import slugify
from mvmodel.video.clips import Clip
from mvmodel.video.containers import holds_pictures
from mvmodel.video.sources import VideoSource

_FRAME_FOLDER_NAMES = {"frames", "images", "jpegimages"}
"""Folder names that say nothing about the clip: it is named after the parent folder."""


def choose_clip_name(source: VideoSource, clip: Clip, names: set[str]) -> str:
    """A slug that is not among `names`: the file's name, with a number for the parts of one file."""
    path = Path(source.name)
    holds_frames = holds_pictures(source.path)
    stem = path.stem.replace("%d", "") if "%d" in path.name or not holds_frames else path.name
    if holds_frames and stem.lower() in _FRAME_FOLDER_NAMES and path.parent.name:
        stem = path.parent.name
    slug = slugify(stem, max_length=48, keep_underscores=False) or "clip"
    base = slug + (f"-{clip.part:02d}" if clip.part else "")
    name, number = base, 2
    while name in names:
        name, number = f"{base}-{number}", number + 1
    return name
