"""Manifests as people have them: manifest.csv, and the metadata files of DiffSynth, Hugging Face and musubi-tuner."""

from __future__ import annotations

import json
import logging
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError
from mvmodel.tables import Row, Table, normalize_column, read_csv, read_json_rows
from mvmodel.text_files import read_text
from mvmodel.video.captions import CAPTION_SUFFIX
from mvmodel.video.manifest import ManifestEntry, resolve_inside

COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "file": ("file_name", "filename", "video", "video_path", "video_file", "video_file_name", "video_name", "path",
             "file_path", "filepath", "clip"),
    "caption": ("prompt", "text", "captions", "description"),
    "motion": ("motion_name", "motion_label", "label", "action"),
    "start": (),
    "start_frame": ("frame_start", "begin_frame"),
    "start_seconds": ("start_time", "start_second", "start_sec", "start_s"),
    "end": (),
    "end_frame": ("frame_end",),
    "end_seconds": ("end_time", "end_second", "end_sec", "end_s"),
    "fps": ("frame_rate", "framerate"),
}  # fmt: skip
"""Columns of a manifest, and other names for them."""
_TABLE_NAMES = ("manifest.csv", "manifest.tsv", "manifest.jsonl", "metadata.csv", "metadata.jsonl", "metadata.json")
"""In any letter case; the first one that exists is read."""
_VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".gif", ".ts", ".ogv"}
)
_logger = logging.getLogger(__name__)


def read_manifest(folder: Path) -> list[ManifestEntry] | None:
    """The entries of a folder's manifest in order, or None if there is none.

    One file is read: the first of manifest.csv, manifest.tsv, manifest.jsonl, metadata.csv, metadata.jsonl,
    metadata.json, then a dataset configuration of musubi-tuner (.toml), then another .jsonl that names videos. Others,
    and columns that mean nothing here, are named in a warning. Raises InputError naming the file and the line if it
    cannot be read; files and moments are not checked here.
    """
    folder = Path(folder)
    candidates = _find_candidates(folder)
    for number, path in enumerate(candidates):
        entries = _read_candidate(path, folder)
        if entries is not None:
            for other in candidates[number + 1 :]:
                if other.suffix.lower() != ".toml" or path.suffix.lower() != ".jsonl":
                    _logger.warning("%s is not read, because %s is the manifest", other, path.name)
            return entries
    return None


def _find_candidates(folder: Path) -> list[Path]:
    """Files that may be the manifest, best first."""
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    tables = [path for name in _TABLE_NAMES for path in files if path.name.lower() == name]
    configurations = [path for path in files if path.suffix.lower() == ".toml" and _read_datasets(path)]
    lines = [path for path in files if path.suffix.lower() == ".jsonl" and path not in tables and _names_videos(path)]
    return tables + configurations + lines


def _read_candidate(path: Path, folder: Path) -> list[ManifestEntry] | None:
    """The entries of a file; None if it is about something else, as only a file called manifest may not be."""
    if path.suffix.lower() == ".toml":
        return list(_read_musubi_configuration(path, folder))
    is_manifest = path.stem.lower() == "manifest"
    read = read_json_rows if path.suffix.lower() in (".json", ".jsonl") else read_csv
    table = read(path, COLUMN_NAMES, ("file",) if is_manifest else ())
    if (table.columns or table.unused) and "file" not in table.columns.values():
        _logger.warning("%s is not read as a manifest: none of its columns names a video file", path)
        return None
    return _table_entries(table, folder)


def _table_entries(table: Table, folder: Path) -> list[ManifestEntry]:
    if table.unused:
        _logger.warning(
            "%s: the columns %s are not used; the manifest's columns are file, caption, motion, start, end, fps",
            *(table.path, ", ".join(repr(name) for name in table.unused)),
        )
    return [_row_entry(table, row, folder) for row in table.rows]


def _row_entry(table: Table, row: Row, folder: Path) -> ManifestEntry:
    values = row.values
    return ManifestEntry(
        file=_relative_to_folder(values.get("file", ""), table.path.parent, folder),
        caption=values.get("caption", ""),
        motion=values.get("motion", ""),
        start=_choose_moment(values, "start"),
        end=_choose_moment(values, "end"),
        table=table.path.name,
        line=row.line,
        fps=values.get("fps", ""),
    )


def _choose_moment(values: Mapping[str, str], name: str) -> str:
    """A moment as `parse_moment` reads it, from the columns start, start_frame or start_seconds."""
    moment, frame, seconds = (values.get(column, "") for column in (name, f"{name}_frame", f"{name}_seconds"))
    if moment:
        return moment
    if frame:  # pandas writes whole numbers as 16.0 where others are missing
        return re.sub(r"^(\d+)[.,]0+$", r"\1", frame)
    return f"{seconds}s" if re.fullmatch(r"\d*[.,]?\d+", seconds) else seconds


def _relative_to_folder(name: str, table_folder: Path, folder: Path) -> str:
    """A file's name relative to `folder`; where there is none, it may be meant relative to the table's own folder."""
    if table_folder == folder or not name:
        return name
    try:
        if not resolve_inside(folder, name).exists() and resolve_inside(table_folder, name).exists():
            return resolve_inside(table_folder, name).relative_to(folder).as_posix()
    except InputError:
        pass  # the name itself tells what is wrong with it
    return name


def _names_videos(path: Path) -> bool:
    """Whether the first line of a .jsonl file has a key for a video's file."""
    try:
        first = json.loads(next((line for line in read_text(path).split("\n") if line.strip()), "null"))
    except (InputError, ValueError, RecursionError):
        return False
    names = {"file", *COLUMN_NAMES["file"]}
    return isinstance(first, dict) and any(normalize_column(key) in names for key in first)


def _read_datasets(path: Path) -> list[dict[str, Any]]:
    """The datasets of a musubi-tuner configuration with the general settings filled in; none for another TOML file."""
    try:
        content = tomllib.loads(read_text(path))
    except (InputError, tomllib.TOMLDecodeError) as error:
        if "video_directory" in str(path.read_bytes()) or "video_jsonl_file" in str(path.read_bytes()):
            raise InputError(f"{path} is not valid TOML ({error}); fix that line or save it again") from error
        return []
    general, datasets = content.get("general", {}), content.get("datasets", [])
    if not isinstance(general, dict) or not isinstance(datasets, list):
        return []
    keys = {"video_directory", "video_jsonl_file", "image_directory", "image_jsonl_file"}
    return [{**general, **dataset} for dataset in datasets if isinstance(dataset, dict) and keys & dataset.keys()]


def _read_musubi_configuration(path: Path, folder: Path) -> Iterator[ManifestEntry]:
    """The entries of a configuration: lines of its JSONL files, and clips of its directories."""
    for dataset in _read_datasets(path):
        directory, lines = (str(dataset.get(key, "")) for key in ("video_directory", "video_jsonl_file"))
        if lines:
            try:
                table_path = resolve_inside(folder, lines)
            except InputError as error:
                raise InputError(f"{path}: video_jsonl_file {lines!r} is not inside {folder}; move it there") from error
            yield from _table_entries(read_json_rows(table_path, COLUMN_NAMES, ("file",)), folder)
        elif directory:
            yield from _directory_entries(path, directory, str(dataset.get("caption_extension", "")), folder)
        else:
            _logger.warning("%s: a dataset of single images has no motion and is left out", path)


def _directory_entries(path: Path, directory: str, suffix: str, folder: Path) -> Iterator[ManifestEntry]:
    """The clips of a directory whose captions have another suffix than .txt, or a directory that is not there.

    Clips with usual captions are found without an entry.
    """
    try:
        clips_folder = resolve_inside(folder, directory)
        if clips_folder.is_dir():
            if suffix.lower() in ("", CAPTION_SUFFIX):
                return
            for clip in sorted(clips_folder.iterdir()):
                if clip.suffix.lower() in _VIDEO_SUFFIXES:
                    name = clip.relative_to(folder).as_posix()
                    yield ManifestEntry(file=name, table=path.name, caption_suffix=suffix)
            return
    except InputError:
        pass  # whoever looks for the entry's file says that it is outside
    yield ManifestEntry(file=directory, table=path.name)
