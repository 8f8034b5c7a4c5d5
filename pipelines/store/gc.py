"""Stored versions and unfinished work that nothing needs any more: listed first, deleted only on request."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from pipelines.store.materializations import list_materializations
from pipelines.store.version_store import Version, VersionStore

KEEP = 3
"""How many of the newest versions of every asset and partition stay, together with everything they were made from."""
DAYS = 7.0
"""Age in days from which an unfinished build, a broken version or a cached result may be deleted."""
_UNFINISHED_PREFIXES = (".tmp-", ".old-", "broken-")
_Identity = tuple[str, str | None, str]
"""Asset, partition and hash of a version."""


@dataclass(frozen=True)
class GarbageItem:
    """A file or folder that may be deleted, and its size in bytes."""

    description: str
    path: Path
    bytes: int


def find_garbage(
    instance: dg.DagsterInstance, store: VersionStore, keep: int = KEEP, days: float = DAYS
) -> list[GarbageItem]:
    """Versions that no recent materialization needs, and unfinished work older than `days`.

    Needed are the last `keep` versions of every asset and partition that Dagster has recorded, and everything that they
    were made from.
    """
    versions: dict[_Identity, Version] = {(v.asset, v.partition, v.sha): v for v in store.versions()}
    needed: set[_Identity] = set()
    for asset, partition in sorted({(v.asset, v.partition) for v in versions.values()}, key=str):
        events = list_materializations(instance, dg.AssetKey(asset), partition)
        hashes = dict.fromkeys(str(event.metadata["sha256"].value) for event in events if "sha256" in event.metadata)
        for sha in list(hashes)[:keep]:
            _add_needed((asset, partition, sha), versions, needed)
    unneeded = [
        GarbageItem(
            f"version of {version.asset}[{version.partition or ''}]",
            Path(str(store.path_of(version.asset, version.partition, version.sha))),
            version.bytes,
        )
        for identity, version in versions.items()
        if identity not in needed
    ]
    return unneeded + _find_unfinished(store, days)


def delete_garbage(garbage: Sequence[GarbageItem]) -> int:
    """Delete what `find_garbage` listed; returns the bytes freed."""
    for item in garbage:
        if item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
    return sum(item.bytes for item in garbage)


def _add_needed(identity: _Identity, versions: dict[_Identity, Version], needed: set[_Identity]) -> None:
    """Add a version and, recursively, the versions that it was made from."""
    if identity in needed or identity not in versions:
        return
    needed.add(identity)
    for source in versions[identity].inputs.values():
        _add_needed((source["asset"], source["partition"], source["sha"]), versions, needed)


def _find_unfinished(store: VersionStore, days: float) -> list[GarbageItem]:
    oldest = time.time() - days * 86_400
    paths = [*store.work.glob("*"), *store.work.glob("items/*/*"), *store.work.glob("fetched/*/*/*")]
    if store.local:
        paths += [path for path in Path(str(store.root)).glob("*/*/*") if path.name.startswith(_UNFINISHED_PREFIXES)]
    containers = (store.work / "items", store.work / "fetched", store.work / "hashes.json")
    return [
        GarbageItem("unfinished or cached work", path, _size(path))
        for path in paths
        if path not in containers and path.lstat().st_mtime < oldest
    ]


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
