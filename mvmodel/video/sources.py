"""Which files and folders of a folder are sources of clips."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError
from mvmodel.files import walk_folder
from mvmodel.text import printable_name
from mvmodel.video.animation import is_animation
from mvmodel.video.containers import IMAGE_SUFFIXES
from mvmodel.video.frame_folders import read_frame_folder
from mvmodel.video.manifest import ManifestEntry, resolve_inside
from mvmodel.video.manifest_tables import read_manifest
from mvmodel.video.mask_names import fold_name, is_mask_folder, likely_mask_owner, mask_owner, plain_sequence_name
from mvmodel.video.picture_sequences import is_sequence_path, parse_names
from mvmodel.video.supplied_masks import (
    MASK_SUFFIXES,
    MaskCandidate,
    SuppliedMasks,
    assign_masks,
    describe_unnamed_masks,
    list_mask_folder,
    list_unnamed_masks,
    name_sequence,
    name_sibling,
    name_whole_clip,
)

_OTHER_SUFFIXES = frozenset(
    {".csv", ".txt", ".md", ".json", ".jsonl", ".npz", ".npy", ".parquet", ".html", ".pdf", ".xml", ".yaml", ".yml"}
    | {".toml", ".ini", ".py", ".log", ".srt", ".vtt", ".zip", ".tar", ".gz", ".7z", ".db", ".part", ".crdownload"}
    | {".wav", ".mp3", ".flac", ".m4a", ".aac"}
)
"""Suffixes that are ignored without a reason: tables, texts, archives, unfinished downloads, sound."""
_OTHER_NAMES = frozenset({"readme", "license", "licence", "copying", "notice", "authors", "changelog", "makefile"})
"""Files without a suffix that are ignored as texts are."""
_OTHER_FOLDERS = frozenset({"__macosx"})
_UNPRINTABLE_NAME = "its name is not UTF-8; rename it"


@dataclass(frozen=True)
class VideoSource:
    """A video file or a folder of frames.

    path: the file or folder, or frames/%d.jpg for some of a folder's pictures. name: its path relative to the ingested
    folder. entries: its lines of the manifest. masks: the user's masks for it, relative to the ingested folder, or "".
    masks_note: what other masks were found and not taken, or "".
    """

    path: Path
    name: str
    entries: tuple[ManifestEntry, ...] = ()
    masks: str = ""
    masks_note: str = ""


@dataclass
class _FolderContents:
    """What a folder holds. clips: path -> name. candidates: all masks. unused: (path, why it is no clip)."""

    clips: dict[Path, str] = field(default_factory=dict)
    candidates: list[MaskCandidate] = field(default_factory=list)
    unused: list[tuple[Path, str]] = field(default_factory=list)


def find_sources(folder: Path) -> tuple[list[VideoSource], list[dict[str, Any]]]:
    """The sources in a folder sorted by name; and what is no source, with reasons.

    The latter are the manifest's files that do not exist, masks without a clip, pictures that are no frames, and names
    that are not UTF-8. A folder with pictures and without videos is one source, or one per sequence of pictures. Hidden
    files, tables, texts and sound are ignored. Links to folders are followed. `folder` may be a single file: its masks
    are those beside it.

    Raises InputError if it does not exist or its manifest is not a table.
    """
    if not folder.exists():
        raise InputError(f"{folder} does not exist; give a folder of clips or a video file")
    if folder.is_file():
        if printable_name(folder.name) != folder.name:
            return [], [{"file": printable_name(folder.name), "reason": _UNPRINTABLE_NAME}]
        return [_single_source(folder)], []
    entries, unknown = _find_manifest_files(folder)
    contents = _scan_folder(folder)
    masks, orphans = _assign_masks(contents)
    paths = {name: path for path, name in contents.clips.items()}
    names = set(entries) if entries.keys() == {"."} else paths.keys() | entries.keys()
    sources = [
        VideoSource(
            path=paths.get(name, folder / name),
            name=name if name != "." else folder.name,
            entries=tuple(entries.get(name, ())),
            masks=_relative_name(masks[name].path, folder) if name in masks else "",
            masks_note=masks[name].note if name in masks else "",
        )
        for name in sorted(names)
    ]
    sources = _note_unnamed_masks(sources)
    unused = [{"file": _relative_name(path, folder), "reason": reason} for path, reason in contents.unused + orphans]
    return sources, unknown + sorted(unused, key=lambda row: row["file"])


def _note_unnamed_masks(sources: list[VideoSource]) -> list[VideoSource]:
    """The sources; those without masks with a note on files beside them that hold some, but have other names."""
    stems = {fold_name(source.path.stem) for source in sources}
    files_by_folder: dict[Path, list[Path]] = {}
    noted = []
    for source in sources:
        folder = source.path.parent
        if source.masks or not folder.is_dir():
            noted.append(source)
            continue
        if folder not in files_by_folder:
            files_by_folder[folder] = list_unnamed_masks(folder)
        own_stem = fold_name(source.path.stem)
        files = [p for p in files_by_folder[folder] if (stem := fold_name(p.stem)) == own_stem or stem not in stems]
        noted.append(replace(source, masks_note=describe_unnamed_masks(files, source.path.stem)))
    return noted


def _find_manifest_files(folder: Path) -> tuple[dict[str, list[ManifestEntry]], list[dict[str, Any]]]:
    """(name of a file -> its lines of the manifest, the lines that name no file that is there)."""
    entries: dict[str, list[ManifestEntry]] = {}
    unknown: list[dict[str, Any]] = []
    for entry in read_manifest(folder) or []:
        reason = "the manifest names it, but there is no such file"
        try:
            path = resolve_inside(folder, entry.file)
            if not entry.file:
                reason = "this line of the manifest names no file"
            elif path.exists():
                entries.setdefault(path.relative_to(folder).as_posix(), []).append(entry)
                continue
        except InputError as error:
            reason = str(error)
        file = entry.file or f"{entry.table}, line {entry.line}"
        unknown.append({"file": file, "reason": reason, "manifest_rows": 1})
    return entries, unknown


def _single_source(file: Path) -> VideoSource:
    """A video file with the masks beside it, whose path is relative to the file's folder."""
    contents = _FolderContents({file: file.name})
    names = sorted(path.name for path in file.parent.iterdir())
    for name in names:
        path, owner = file.parent / name, mask_owner(_stem(file.parent / name))
        if owner and (path.is_dir() or path.suffix.lower() in MASK_SUFFIXES):
            contents.candidates.append(name_sibling(path, owner))
    masks, _ = _assign_masks(contents)
    supplied = masks.get(file.name)
    if supplied is None:
        return _note_unnamed_masks([VideoSource(file, file.name)])[0]
    return VideoSource(file, file.name, (), supplied.path.name, supplied.note)


def _relative_name(path: Path, folder: Path) -> str:
    return printable_name(path.relative_to(folder).as_posix())


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _assign_masks(contents: _FolderContents) -> tuple[dict[str, SuppliedMasks], list[tuple[Path, str]]]:
    """Name of a source -> its masks; and the masks of no source, with reasons."""
    parts = {}
    for path, name in contents.clips.items():
        if path.is_dir():
            parts[path] = path.parts
        elif not is_sequence_path(path):
            parts[path] = path.with_suffix("").parts
        elif Path(name).name == path.name:
            picture = parse_names([path.with_name(path.name.replace("%d", "0"))])[0]
            parts[path] = (*path.parent.parts, plain_sequence_name(picture.prefix, picture.tail))
        else:
            parts[path] = path.parent.parts
    supplied, orphans = assign_masks(contents.candidates, parts)
    return {contents.clips[path]: masks for path, masks in supplied.items()}, orphans


def _scan_folder(folder: Path) -> _FolderContents:
    contents = _FolderContents()
    for current, subfolders, files in walk_folder(folder):
        _quarantine_unprintable_names(contents, current, subfolders, files)
        subfolders[:] = [name for name in subfolders if name.lower() not in _OTHER_FOLDERS]
        visible = [name for name in files if (current / name).is_file()]
        videos = {name for name in visible if _is_video(name) or is_animation(current / name)}
        candidates = _find_masks(current, subfolders, visible, videos)
        contents.candidates += candidates
        masks = {candidate.path for candidate in candidates}
        subfolders[:] = [n for n in subfolders if not is_mask_folder(n) and current / n not in masks]
        others = [current / name for name in visible if current / name not in masks]
        _add_clips(contents, folder, current, others, videos)
    return contents


def _quarantine_unprintable_names(
    contents: _FolderContents, current: Path, subfolders: list[str], files: list[str]
) -> None:
    """Takes the names that are not UTF-8 out of the lists. Pictures of one folder are named once."""
    names = [name for name in (*subfolders, *files) if printable_name(name) != name]
    pictures = [name for name in names if name in files and Path(name).suffix.lower() in IMAGE_SUFFIXES]
    for name in names:
        if name in subfolders or _is_video(name):
            contents.unused.append((current / name, _UNPRINTABLE_NAME))
    if pictures:
        others_text = f" (and those of {len(pictures) - 1} other pictures)" if len(pictures) > 1 else ""
        contents.unused.append((current / pictures[0], f"{_UNPRINTABLE_NAME}{others_text}"))
    subfolders[:] = [name for name in subfolders if name not in names]
    files[:] = [name for name in files if name not in names]


def _find_masks(current: Path, subfolders: list[str], files: list[str], videos: set[str]) -> list[MaskCandidate]:
    """The masks directly in a folder, by their names: folders of masks, and files and folders named after a clip.

    videos: those of `files` that are videos or animated pictures.
    """
    candidates = []
    stems = {fold_name(Path(name).stem) for name in videos if not mask_owner(Path(name).stem)}
    owners = stems | {fold_name(name) for name in videos} | {fold_name(name) for name in subfolders}
    for name in subfolders:
        if is_mask_folder(name):
            candidates += list_mask_folder(current / name)
    for name in [*subfolders, *files]:
        path = current / name
        suffix = "" if name in subfolders else path.suffix.lower()
        if is_mask_folder(name) or (suffix and suffix not in MASK_SUFFIXES):
            continue
        stem = path.stem if suffix else name
        owner = mask_owner(stem)
        if suffix in IMAGE_SUFFIXES and fold_name(owner) not in stems:
            continue  # a picture of a sequence: read_frame_folder sorts them
        owner = owner or likely_mask_owner(stem)
        if owner and (mask_owner(stem) or fold_name(owner) in owners):
            candidates.append(name_sibling(path, owner))
        elif suffix and (candidate := name_whole_clip(path)) is not None:
            candidates.append(candidate)
    return candidates


def _is_video(name: str) -> bool:
    return Path(name).suffix.lower() not in _OTHER_SUFFIXES | IMAGE_SUFFIXES and name.lower() not in _OTHER_NAMES


def _add_clips(contents: _FolderContents, folder: Path, current: Path, files: list[Path], videos: set[str]) -> None:
    """Adds the clips directly in a folder: its videos and animated pictures, or else the sequences of its pictures."""
    for path in files:
        if path.name in videos:
            contents.clips[path] = _relative_name(path, folder)
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not pictures or any(path.name in videos for path in files):
        return
    frame_folder = read_frame_folder(current, pictures)
    contents.unused += frame_folder.unused
    for path in frame_folder.frames:
        is_whole_folder = path == current or len(frame_folder.frames) == 1
        contents.clips[path] = _relative_name(current if is_whole_folder else path, folder)
        if path in frame_folder.masks:
            contents.candidates.append(name_sequence(frame_folder.masks[path], path))
