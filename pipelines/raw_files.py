"""Which files a folder of raw clips holds, and whether it changed: the sensor's and `raw_clips`' view of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mvmodel.files import hash_file, hash_value, write_json


def list_files(folder: Path) -> list[Path]:
    """Every file below `folder` that is not hidden, sorted; videos, frames, captions and manifests alike."""
    found = (p for p in folder.rglob("*") if p.is_file())
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def stamp_files(folder: Path) -> dict[str, str]:
    """Relative path -> size and time of change: cheap, for a sensor that looks every half minute."""
    seen = {}
    for path in list_files(folder):
        try:
            stat = path.stat()
        except FileNotFoundError:  # moved away while we looked
            continue
        seen[path.relative_to(folder).as_posix()] = f"{stat.st_size}-{stat.st_mtime_ns}"
    return seen


def hash_files(folder: Path, remembered: Path) -> list[dict[str, Any]]:
    """[{file, sha256, bytes}] of a folder. `remembered` keeps hashes of files whose size and time have not changed."""
    try:
        known: dict[str, list[str]] = json.loads(remembered.read_text())
    except (OSError, ValueError):
        known = {}
    rows: list[dict[str, Any]] = []
    fresh: dict[str, list[str]] = {}
    for name, stamp in stamp_files(folder).items():
        path = folder / name
        key = str(path.resolve())
        sha = known[key][1] if known.get(key, [""])[0] == stamp else hash_file(path)
        fresh[key] = [stamp, sha]
        rows.append({"file": name, "sha256": sha, "bytes": path.stat().st_size})
    write_json(remembered, {**known, **fresh})
    return rows


def listing_hash(rows: list[dict[str, Any]]) -> str:
    """Names and contents, without where the folder lies."""
    return hash_value([[row["file"], row["sha256"]] for row in rows])
