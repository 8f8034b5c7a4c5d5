"""Stored versions and unfinished work that nothing needs any more: listed first, deleted only on request."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import dagster as dg

from mvmodel.errors import InputError
from pipelines.store.file_system import StoreFiles
from pipelines.store.manifest import MANIFEST
from pipelines.store.materializations import list_materializations
from pipelines.store.version_store import SHARED_FOLDERS, Version, VersionStore

if TYPE_CHECKING:
    from upath import UPath

KEEP = 3
"""How many of the newest versions of every asset and partition stay, together with everything they were made from."""
DAYS = 7.0
"""Age in days from which a version, an unfinished build, a broken version or a cached result may be deleted."""
_UNFINISHED_RUNS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_UNFINISHED_PREFIXES = (".tmp-", ".old-", "broken-")
_Identity = tuple[str, str | None, str]
"""Asset, partition and hash of a version."""


@dataclass(frozen=True)
class GarbageItem:
    """A file or folder that may be deleted, and its size in bytes. file_system: what it is deleted with."""

    description: str
    path: UPath
    bytes: int
    file_system: StoreFiles


def find_garbage(
    instance: dg.DagsterInstance, store: VersionStore, keep: int = KEEP, days: float = DAYS
) -> list[GarbageItem]:
    """Versions that no recent materialization needs, and unfinished work; both only if older than `days`.

    Needed are the last `keep` versions of every asset and partition that Dagster has recorded, and everything that they
    were made from. Versions of assets and partitions that Dagster's records do not know stay: another home may use
    them.

    Raises:
        InputError: Runs are unfinished, or Dagster's records know nothing of what is stored.
    """
    _check_runs_are_finished(instance)
    versions: dict[_Identity, Version] = {(v.asset, v.partition, v.sha): v for v in store.versions()}
    needed: set[_Identity] = set()
    recorded_keys: set[tuple[str, str | None]] = set()
    for asset, partition in sorted({(v.asset, v.partition) for v in versions.values()}, key=str):
        events = list_materializations(instance, dg.AssetKey(asset), partition)
        hashes = dict.fromkeys(str(event.metadata["sha256"].value) for event in events if "sha256" in event.metadata)
        if hashes:
            recorded_keys.add((asset, partition))
        for sha in list(hashes)[:keep]:
            _add_needed((asset, partition, sha), versions, needed)
    if versions and not recorded_keys:
        raise InputError(
            f"Dagster's records know none of the {len(versions)} versions in {store.root}, so gc cannot tell what is "
            f"needed; restore the records, or give the --home that the store belongs to"
        )
    unneeded = [
        GarbageItem(
            f"version of {version.key}",
            store.path_of(version.asset, version.partition, version.sha),
            version.bytes,
            store.file_system,
        )
        for identity, version in versions.items()
        if identity not in needed and identity[:2] in recorded_keys and _age_of(version) >= days
    ]
    return unneeded + [item for item, age in _find_unfinished(store) if age >= days]


def delete_garbage(garbage: Sequence[GarbageItem]) -> int:
    """Delete what `find_garbage` listed; returns the bytes freed."""
    for item in garbage:
        item.file_system.remove(item.path)
    return sum(item.bytes for item in garbage)


def _check_runs_are_finished(instance: dg.DagsterInstance) -> None:
    runs = instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED_RUNS), limit=4)
    if runs:
        names = ", ".join(record.dagster_run.run_id[:8] for record in runs[:3]) + (" ..." if len(runs) > 3 else "")
        raise InputError(
            f"runs are unfinished ({names}), and gc might delete what they are writing; wait for them, or run "
            f"`mvmodel-pipeline repair` if their process is gone"
        )


def _age_of(version: Version) -> float:
    """Days since a version was made; 0 if its manifest does not say."""
    with suppress(ValueError):
        return max(0.0, time.time() - datetime.fromisoformat(version.created).timestamp()) / 86_400
    return 0.0


def _add_needed(identity: _Identity, versions: dict[_Identity, Version], needed: set[_Identity]) -> None:
    """Add a version and, recursively, the versions that it was made from."""
    if identity in needed or identity not in versions:
        return
    needed.add(identity)
    for source in versions[identity].inputs.values():
        _add_needed((source["asset"], source["partition"], source["sha"]), versions, needed)


def _find_unfinished(store: VersionStore) -> Iterator[tuple[GarbageItem, float]]:
    """Unfinished and cached work on this machine and in the store, with its age in days."""
    work_files = StoreFiles(store.work)
    containers = {store.work / name for name in ("items", "fetched", "verified", "hashes.json")}
    local = [*store.work.glob("*"), *store.work.glob("items/*/*"), *store.work.glob("fetched/*/*/*")]
    local += store.work.glob("verified/*/*/*")
    for path in cast("list[UPath]", [path for path in local if path not in containers]):
        size, age = work_files.measure(path)
        yield GarbageItem("unfinished or cached work", path, size, work_files), age
    for path in _list_unfinished(store):
        size, age = store.file_system.measure(path)
        yield GarbageItem("unfinished or cached work", path, size, store.file_system), age


def _list_unfinished(store: VersionStore) -> list[UPath]:
    """What is in the store and is no whole version: uploads that were cut off, versions set apart, shared work."""
    if not store.root.exists():
        return []
    files = store.file_system
    has_manifest: dict[tuple[str, ...], bool] = {}
    for file in files.files(store.root):
        parts = tuple(files.relative(file).split("/"))
        if parts[0] in ("items", "work"):
            has_manifest[parts[: 3 if parts[0] == "items" else 2]] = False
        elif len(parts) > 3 and parts[0] not in SHARED_FOLDERS:
            has_manifest[parts[:3]] = has_manifest.get(parts[:3], False) or parts[3:] == (MANIFEST,)
    names = [
        parts for parts, is_whole in has_manifest.items() if not is_whole or parts[-1].startswith(_UNFINISHED_PREFIXES)
    ]
    empty = [path for path in Path(str(store.root)).glob("*/*/.*") if store.local and not any(path.iterdir())]
    return [store.root.joinpath(*parts) for parts in names] + cast("list[UPath]", empty)
