"""What nothing refers to any more: listed first, removed only when asked to."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from pipelines.store.materializations import list_materializations
from pipelines.store.version_store import Version, VersionStore

KEPT = 3
"""Versions of an asset (of a partition) that stay beside the present one's inputs, newest first."""
DAYS = 7.0
"""Age from which an unfinished build, a broken version or a remembered item is garbage."""
_ASIDE = (".tmp-", ".old-", "broken-")


@dataclass(frozen=True)
class GarbageItem:
    """Something that may go: what it is, where it lies, how many bytes it holds."""

    what: str
    path: Path
    bytes: int


def find_garbage(
    instance: dg.DagsterInstance, store: VersionStore, keep: int = KEPT, days: float = DAYS
) -> list[GarbageItem]:
    """Versions that no recent materialisation needs, and what kills and old builds left behind.

    Needed is: the last `keep` versions of every asset and partition that Dagster knows, every adapter that was ever
    promoted and is among those, and all that they were made from.
    """
    stored = {(v.asset, v.partition, v.sha): v for v in store.versions()}
    needed: set[tuple[str, str | None, str]] = set()
    for key, partition in sorted({(v.asset, v.partition) for v in stored.values()}, key=str):
        events = list_materializations(instance, dg.AssetKey(key), partition)
        shas = dict.fromkeys(str(e.metadata["sha256"].value) for e in events if "sha256" in e.metadata)
        for sha in list(shas)[:keep]:
            _need((key, partition, sha), stored, needed)
    found = []
    for identity, version in stored.items():
        if identity not in needed:
            place = Path(str(store.path_of(version.asset, version.partition, version.sha)))
            found.append(GarbageItem(f"version of {version.asset}[{version.partition or ''}]", place, version.bytes))
    return found + _left_behind(store, days)


def delete_garbage(found: list[GarbageItem], store: VersionStore) -> int:
    """Delete what `find` listed; returns the bytes freed."""
    for garbage in found:
        if garbage.path.is_dir():
            shutil.rmtree(garbage.path)
        else:
            garbage.path.unlink(missing_ok=True)
    return sum(garbage.bytes for garbage in found)


def _need(
    identity: tuple[str, str | None, str],
    stored: dict[tuple[str, str | None, str], Version],
    needed: set[tuple[str, str | None, str]],
) -> None:
    if identity in needed or identity not in stored:
        return
    needed.add(identity)
    for made_of in stored[identity].inputs.values():
        _need((made_of["asset"], made_of["partition"], made_of["sha"]), stored, needed)


def _left_behind(store: VersionStore, days: float) -> list[GarbageItem]:
    old = time.time() - days * 86_400
    places = [*store.work.glob("*"), *store.work.glob("items/*/*"), *store.work.glob("fetched/*/*/*")]
    if store.local:
        places += [path for path in Path(str(store.root)).glob("*/*/*") if path.name.startswith(_ASIDE)]
    found = []
    for path in places:
        if path in (store.work / "items", store.work / "fetched") or path.name == "hashes.json":
            continue
        if path.lstat().st_mtime < old:
            size = (
                sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size
            )
            found.append(GarbageItem("left behind", path, size))
    return found
