"""The files of a folder of raw clips, and whether they changed; for the sensor and the asset `raw_clips`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mvmodel.files import hash_file, hash_value, walk_folder, write_json
from mvmodel.text import printable_name


def list_files(folder: Path) -> list[Path]:
    """All files below `folder` that are not hidden, sorted: videos, frames, captions and manifests."""
    paths = (current / name for current, _, names in walk_folder(folder) for name in names)
    return sorted(path for path in paths if path.is_file())


def stamp_files(folder: Path) -> dict[str, str]:
    """Relative path -> a stamp, which is cheap enough for a sensor that runs twice a minute.

    The stamp is size, times of modification and of change, and inode: a file that was replaced by one of the same size
    and modification time has another inode, and one that was rewritten in place another time of change.
    """
    return {name: stamp for name, (_, stamp) in _stamp_paths(folder).items()}


def hash_files(folder: Path, cache_file: Path) -> list[dict[str, Any]]:
    """[{file, sha256, bytes}] of a folder. cache_file: keeps the hashes of files whose stamp has not changed.

    A file that cannot be read has no hash; ingestion tells the user why it cannot be used.
    """
    try:
        cached: dict[str, list[str]] = json.loads(cache_file.read_text())
    except (OSError, ValueError):
        cached = {}
    rows: list[dict[str, Any]] = []
    hashed: dict[str, list[str]] = {}
    for name, (path, stamp) in _stamp_paths(folder).items():
        key = str(path.resolve())
        try:
            sha = cached[key][1] if cached.get(key, [""])[0] == stamp else hash_file(path)
        except OSError:
            sha = ""
        hashed[key] = [stamp, sha]
        rows.append({"file": name, "sha256": sha, "bytes": int(stamp.partition("-")[0])})
    write_json(cache_file, {**cached, **hashed})
    return rows


def _stamp_paths(folder: Path) -> dict[str, tuple[Path, str]]:
    """Printable relative path -> (path, stamp as in `stamp_files`)."""
    stamps = {}
    for path in list_files(folder):
        try:
            stat = path.stat()
        except FileNotFoundError:  # moved since the folder was listed
            continue
        name = printable_name(path.relative_to(folder).as_posix())
        stamps[name] = (path, f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_ino}")
    return stamps


def listing_hash(rows: list[dict[str, Any]]) -> str:
    """Hash of all names and contents; the same wherever the folder is."""
    return hash_value([[row["file"], row["sha256"]] for row in rows])
