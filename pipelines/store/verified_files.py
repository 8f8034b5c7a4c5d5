"""Remembers which files have been hashed, so that a version is not read again for every step that uses it.

A file counts as unchanged while the file system says so: device, inode, times of change, size. What changes on the disk
without a word of the file system is found because every file is hashed again after some hours. Within one run, a
process asks the file system once a minute: every motion uses the files of all clips.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mvmodel.files import hash_file, write_json
from pipelines.store.manifest import NO_PARTITION, SHORT, Version, list_files

VERIFY_HOURS = 24.0
"""Hours after which a version's files are hashed again when it is used."""
_SETTLING_SECONDS = 2.0
"""A file may change twice within one tick of the file system's clock: files changed so recently are not remembered."""
RECENT_SECONDS = 60.0
"""How long the steps of one run trust what another step of the same process has verified."""


class _RecentChecks:
    """The versions that this process has verified within `verify_once`, and when."""

    def __init__(self) -> None:
        self.uses = 0
        self.times: dict[tuple[str, str], float] = {}

    def contains(self, version: Version, folder: Path) -> bool:
        verified = self.times.get((str(folder), version.sha))
        return verified is not None and time.monotonic() - verified < RECENT_SECONDS

    def add(self, version: Version, folder: Path) -> None:
        if self.uses:
            self.times[str(folder), version.sha] = time.monotonic()


_recent = _RecentChecks()


@contextmanager
def verify_once() -> Iterator[None]:
    """Within it, a version that this process has just verified is not verified again. It may be entered repeatedly."""
    _recent.uses += 1
    try:
        yield
    finally:
        _recent.uses -= 1
        if not _recent.uses:
            _recent.times.clear()


class VerifiedFiles:
    """Results of verification below `folder`. hours: how long they are valid; 0 hashes every file at every use."""

    def __init__(self, folder: Path, hours: float = VERIFY_HOURS) -> None:
        self.folder, self.hours = Path(folder), hours

    def find_differences(self, version: Version, folder: Path) -> list[str]:
        """Names of the files in `folder` that are missing, additional or differ from the version's manifest."""
        if self.hours and folder.is_dir() and _recent.contains(version, folder):
            return []
        record = self._read(version, folder)
        entries: dict[str, list[Any]] = {}
        hashes: dict[str, str] = {}
        is_all_new = True
        for name, path in list_files(folder).items():
            stamp = _stamp(path)
            if record["files"].get(name) == [*stamp, version.files.get(name)]:
                hashes[name], is_all_new = version.files[name], False
            else:
                hashes[name] = hash_file(path)
            if time.time() - max(stamp[2], stamp[3]) / 1e9 > _SETTLING_SECONDS:
                entries[name] = [*stamp, hashes[name]]
        differences = sorted(n for n in {*hashes, *version.files} if hashes.get(n) != version.files.get(n))
        if not differences and entries != record["files"]:
            started = time.time() if is_all_new else record["time"]
            write_json(self._path(version), {"folder": str(folder), "time": started, "files": entries})
        if not differences:
            _recent.add(version, folder)
        return differences

    def forget(self, folder: Path) -> None:
        """Verify what is in a folder when it is used next."""
        for key in [key for key in _recent.times if key[0] == str(folder)]:
            del _recent.times[key]

    def _path(self, version: Version) -> Path:
        return self.folder / version.asset / (version.partition or NO_PARTITION) / f"{version.sha[:SHORT]}.json"

    def _read(self, version: Version, folder: Path) -> dict[str, Any]:
        """What is known about a version's files in this folder; nothing if it is too old."""
        nothing: dict[str, Any] = {"time": time.time(), "files": {}}
        try:
            record = json.loads(self._path(version).read_text())
            age = time.time() - float(record["time"])
            is_valid = record["folder"] == str(folder) and 0 <= age < self.hours * 3600
            return record if is_valid and isinstance(record["files"], dict) else nothing
        except (OSError, ValueError, LookupError, TypeError):
            return nothing


def _stamp(path: Path) -> tuple[int, int, int, int, int]:
    """Device, inode, times of modification and change in nanoseconds, and size of a file."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
