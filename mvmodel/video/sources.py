"""Which files and folders of a folder are sources of clips."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mvmodel.errors import InputError
from mvmodel.video import manifest
from mvmodel.video.containers import image_files
from mvmodel.video.manifest import ManifestEntry

_OTHER_SUFFIXES = frozenset(
    {".csv", ".txt", ".md", ".json", ".jsonl", ".npz", ".npy", ".parquet", ".html", ".pdf", ".xml", ".yaml", ".yml"}
    | {".toml", ".ini", ".py", ".log", ".srt", ".vtt", ".zip", ".tar", ".gz", ".7z", ".db", ".part", ".crdownload"}
    | {".wav", ".mp3", ".flac", ".m4a", ".aac"}
)
"""Suffixes that are ignored without a reason: tables, texts, archives, unfinished downloads, sound."""
_OTHER_FOLDERS = frozenset({"masks", "ground_truth", "__macosx"})
_MASK_SUFFIXES = (".masks.npz", ".masks.gif", ".masks.mp4", ".masks")


@dataclass(frozen=True)
class VideoSource:
    """A video file or a folder of frames.

    path: the file or folder. name: its path relative to the ingested folder. entries: its lines of the manifest. masks:
    the user's masks for it, relative to the ingested folder, or "".
    """

    path: Path
    name: str
    entries: tuple[ManifestEntry, ...] = ()
    masks: str = ""


def find_sources(folder: Path) -> tuple[list[VideoSource], list[dict[str, str]]]:
    """The sources in a folder sorted by name, and the manifest's files that do not exist, with reasons.

    A folder with pictures and without videos is one source. Hidden files, tables, texts, sound and masks are ignored.
    `folder` may be a single file. Raises InputError if it does not exist or its manifest is not a table.
    """
    if not folder.exists():
        raise InputError(f"{folder} does not exist; give a folder of clips or a video file")
    if folder.is_file():
        return [VideoSource(folder, folder.name)], []
    entries: dict[str, list[ManifestEntry]] = {}
    unknown: list[dict[str, str]] = []
    for entry in manifest.read_manifest(folder) or []:
        try:
            path = manifest.resolve_inside(folder, entry.file)
            name = path.relative_to(folder).as_posix()
            if path.exists():
                entries.setdefault(name, []).append(entry)
            else:
                unknown.append({"file": entry.file, "reason": "the manifest names it, but there is no such file"})
        except InputError as error:
            unknown.append({"file": entry.file, "reason": str(error)})
    paths = [] if entries.keys() == {"."} else _find_videos_and_frame_folders(folder)
    names = sorted({path.relative_to(folder).as_posix() for path in paths} | entries.keys())
    sources = [
        VideoSource(
            path=folder / name,
            name=name if name != "." else folder.name,
            entries=tuple(entries.get(name, ())),
            masks=_find_masks(folder, name),
        )
        for name in names
    ]
    return sources, unknown


def _find_videos_and_frame_folders(folder: Path) -> list[Path]:
    paths: list[Path] = []
    for directory, subfolders, files in os.walk(folder):
        current = Path(directory)
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and name.lower() not in _OTHER_FOLDERS and not name.endswith(".masks")
        )
        candidates = [
            current / name
            for name in files
            if not name.startswith(".")
            and Path(name).suffix.lower() not in _OTHER_SUFFIXES
            and not name.lower().endswith(_MASK_SUFFIXES)
            and (current / name).is_file()
        ]
        pictures = set(image_files(current))
        videos = [path for path in candidates if path not in pictures]
        paths += videos
        if pictures and not videos:
            paths.append(current)
    return paths


def _find_masks(folder: Path, name: str) -> str:
    """The user's masks of a source: clip.masks/ (PNG), clip.masks.npz, .gif or .mp4, or masks/ next to frames/."""
    path = folder / name
    stem = path if path.is_dir() else path.with_suffix("")
    for suffix in _MASK_SUFFIXES:
        masks = stem.with_name(stem.name + suffix)
        if masks.exists():
            return masks.relative_to(folder).as_posix()
    if path.is_dir() and path != folder and path.name.lower() == "frames" and (path.parent / "masks").is_dir():
        return (path.parent / "masks").relative_to(folder).as_posix()
    return ""
