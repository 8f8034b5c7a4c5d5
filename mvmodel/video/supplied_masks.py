"""Which of a folder's mask files belong to which of its clips."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mvmodel.video.containers import IMAGE_SUFFIXES, image_files
from mvmodel.video.frame_folders import split_sequences
from mvmodel.video.mask_names import (
    MASK_FOLDERS,
    clip_key,
    fold_name,
    likely_mask_owner,
    mask_owner,
    names_whole_clip,
)

_KINDS = (
    ".npz",
    ".npy",
    ".gif",
    ".mp4",
    "",
    ".json",
    ".mov",
    ".webm",
    ".mkv",
    ".avi",
    ".m4v",
    ".apng",
    ".png",
    ".webp",
    ".tif",
    ".tiff",
)
"""Suffixes of mask files, the preferred ones first; "" is a folder of pictures."""
MASK_SUFFIXES = frozenset(_KINDS) - {""}
_MASKS_IN_JSON = re.compile(rb'"(segmentations?|masklet)"\s*:\s*(\{|\[\s*[\[{\d])')
_ORPHAN_REASON = (
    "it looks like masks, but no clip of this name is beside it; name it after its clip (clip.masks), or give it a "
    "name without a word for masks if it is a clip"
)


@dataclass(frozen=True)
class MaskCandidate:
    """Masks that a name gives away.

    path: a file, a folder of pictures or a sequence path. folder: where its clip has to be. key: what the clip's path
    below `folder` has to be, without its suffix. rank: which of several is taken, the smallest. clip: the path of its
    clip, where that is known already.
    """

    path: Path
    folder: Path
    key: tuple[str, ...]
    rank: tuple[int, int]
    clip: Path | None = None


@dataclass(frozen=True)
class SuppliedMasks:
    """Masks of a clip. note: a sentence on what else was found and not taken, or ""."""

    path: Path
    note: str = ""


def name_sibling(path: Path, owner: str) -> MaskCandidate:
    """Masks whose name is their clip's with a word for masks: clip.masks.npz, clip_mask/."""
    suffix = "" if path.is_dir() else path.suffix.lower()
    return MaskCandidate(path, path.parent, (fold_name(owner),), (0, _KINDS.index(suffix)))


def name_whole_clip(path: Path) -> MaskCandidate | None:
    """Masks in a JSON file with a name such as _annotations.coco.json, or None if it holds none, but boxes for example.

    They belong to the frames beside it, or to the only clip below its folder.
    """
    if path.suffix.lower() != ".json" or not names_whole_clip(path.stem):
        return None
    if not _MASKS_IN_JSON.search(path.read_bytes()):
        return None
    return MaskCandidate(path, path.parent, (path.stem,), (1, len(MASK_FOLDERS)))


def list_unnamed_masks(folder: Path) -> list[Path]:
    """Files of a folder that hold masks by their content, but not by their names."""
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return [path for path in files if path.is_file() and _holds_masks(path)]


def describe_unnamed_masks(files: list[Path], clip: str) -> str:
    """Says why files of `list_unnamed_masks` are not the masks of a clip with this name; "" for no files."""
    if not files:
        return ""
    names = ", ".join(path.name for path in files[:3]) + (f" and {len(files) - 3} others" if len(files) > 3 else "")
    return f"{names} not taken, because the name does not say that it holds masks of the clip; name it {clip}.masks.*"


def _holds_masks(path: Path) -> bool:
    """Whether a file without a name for masks holds some: an .npz with an array called masks, or a COCO file."""
    suffix, stem = path.suffix.lower(), path.stem
    if suffix not in (".npz", ".json") or mask_owner(stem) or likely_mask_owner(stem) or names_whole_clip(stem):
        return False
    try:
        if suffix == ".json":
            return bool(_MASKS_IN_JSON.search(path.read_bytes()))
        with zipfile.ZipFile(path) as archive:
            return bool({"bits.npy", "masks.npy", "mask.npy"} & set(archive.namelist()))
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def name_sequence(path: Path, clip: Path) -> MaskCandidate:
    """Masks in the same folder as their frames; `clip` is the path of the frames."""
    return MaskCandidate(path, clip.parent, (), (0, 0), clip)


def list_mask_folder(root: Path) -> list[MaskCandidate]:
    """Everything in a folder of masks that may be the masks of a clip: files, folders of pictures, sequences."""
    rank = (1, MASK_FOLDERS.index(fold_name(root.name)))
    candidates = []
    for directory, subfolders, files in os.walk(root):
        current = Path(directory)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        parts = current.relative_to(root).parts
        for name in sorted(files):
            suffix = Path(name).suffix.lower()
            if suffix in MASK_SUFFIXES and suffix not in IMAGE_SUFFIXES and not name.startswith("."):
                candidates.append(MaskCandidate(current / name, root.parent, (*parts, Path(name).stem), rank))
        pictures = image_files(current)
        sequences = split_sequences(current, pictures) if pictures else {}
        for path, name in sequences.items():
            key = parts if path == current else (*parts, name)
            candidates.append(MaskCandidate(path, root.parent, key, rank))
    return candidates


def assign_masks(
    candidates: Iterable[MaskCandidate], clips: Mapping[Path, tuple[str, ...]]
) -> tuple[dict[Path, SuppliedMasks], list[tuple[Path, str]]]:
    """Gives every clip its masks.

    Args:
        candidates: All masks of the ingested folder.
        clips: Path of a clip -> the parts of its path without its suffix.

    Returns:
        Clip -> its masks; and (path, reason) of the masks that belong to no clip.
    """
    by_clip: dict[Path, list[MaskCandidate]] = {}
    orphans = []
    folders = _index_folders(clips)
    for candidate in candidates:
        owner = candidate.clip or folders.get(candidate.folder, _FolderClips(candidate.folder)).find(candidate)
        if owner is None:
            orphans.append((candidate.path, _ORPHAN_REASON))
        else:
            by_clip.setdefault(owner, []).append(candidate)
    supplied = {}
    for clip, candidates in by_clip.items():
        first, *others = sorted(candidates, key=lambda candidate: (candidate.rank, candidate.path.as_posix()))
        names = ", ".join(other.path.name for other in others)
        note = f"{names} not taken, because the clip has {first.path.name} too" if others else ""
        supplied[clip] = SuppliedMasks(first.path, note)
    return supplied, orphans


class _FolderClips:
    """The clips in a folder and below it, found by what their masks may be called. Each search looks into a table, so
    that many masks of many clips take no time with the square."""

    def __init__(self, folder: Path) -> None:
        self._depth = len(folder.parts)
        self._clips: dict[Path, tuple[str, ...]] = {}
        self._by_key: dict[bool, dict[tuple[str, ...], list[Path]]] = {}

    def add(self, path: Path, parts: tuple[str, ...]) -> None:
        """Add a clip with the parts of its path without its suffix."""
        self._clips[path] = parts

    def find(self, candidate: MaskCandidate) -> Path | None:
        """The clip of masks that are in the folder, or None."""
        if candidate.rank[0] == 0:
            return self._by_name.get(candidate.key[0])
        for keep_resolution in (True, False):
            same = self._find_by_key(clip_key(candidate.key, keep_resolution), keep_resolution)
            if len(same) == 1:
                return same[0]
        is_whole_folder = not clip_key(candidate.key, False)
        return next(iter(self._clips)) if len(self._clips) == 1 and is_whole_folder else None

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        """The names of the clips directly in the folder, with and without suffix -> the first clip of that name."""
        names: dict[str, Path] = {}
        for path, parts in self._clips.items():
            if len(parts) == self._depth + 1:
                for name in (fold_name(path.name), fold_name(parts[-1])):
                    names.setdefault(name, path)
        return names

    def _find_by_key(self, key: tuple[str, ...], keep_resolution: bool) -> list[Path]:
        if keep_resolution not in self._by_key:
            paths = self._by_key[keep_resolution] = {}
            for path, parts in self._clips.items():
                paths.setdefault(clip_key(parts[self._depth :], keep_resolution), []).append(path)
        return self._by_key[keep_resolution].get(key, [])


def _index_folders(clips: Mapping[Path, tuple[str, ...]]) -> dict[Path, _FolderClips]:
    """Every folder that holds clips, at any depth, and every clip that is a folder -> the clips in it."""
    folders: dict[Path, _FolderClips] = {}
    for path, parts in clips.items():
        for folder in (path, *path.parents):
            folders.setdefault(folder, _FolderClips(folder)).add(path, parts)
    return folders
