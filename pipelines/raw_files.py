"""The files of a folder of raw clips, and whether they changed; for the sensor and the asset `raw_clips`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mvmodel.files import hash_file, hash_value, write_json


def list_files(folder: Path) -> list[Path]:
    """All files below `folder` that are not hidden, sorted: videos, frames, captions and manifests."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def stamp_files(folder: Path) -> dict[str, str]:
    """Relative path -> size and modification time, which is cheap enough for a sensor that runs twice a minute."""
    stamps = {}
    for path in list_files(folder):
        try:
            stat = path.stat()
        except FileNotFoundError:  # moved since the folder was listed
            continue
        stamps[path.relative_to(folder).as_posix()] = f"{stat.st_size}-{stat.st_mtime_ns}"
    return stamps


def hash_files(folder: Path, cache_file: Path) -> list[dict[str, Any]]:
    """[{file, sha256, bytes}] of a folder. cache_file: keeps the hashes of files whose stamp has not changed."""
    try:
        cached: dict[str, list[str]] = json.loads(cache_file.read_text())
    except (OSError, ValueError):
        cached = {}
    rows: list[dict[str, Any]] = []
    hashed: dict[str, list[str]] = {}
    for name, stamp in stamp_files(folder).items():
        path = folder / name
        key = str(path.resolve())
        sha = cached[key][1] if cached.get(key, [""])[0] == stamp else hash_file(path)
        hashed[key] = [stamp, sha]
        rows.append({"file": name, "sha256": sha, "bytes": path.stat().st_size})
    write_json(cache_file, {**cached, **hashed})
    return rows


def listing_hash(rows: list[dict[str, Any]]) -> str:
    """Hash of all names and contents; the same wherever the folder is."""
    return hash_value([[row["file"], row["sha256"]] for row in rows])
