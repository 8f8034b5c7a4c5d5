"""Which adapter of a motion is in use, what a new one is measured against, and going back to an older one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.errors import InputError
from pipelines.promotion.evaluation import evaluate
from pipelines.promotion.gates import GateResult, apply_gates
from pipelines.resources import PackResource, Settings
from pipelines.settings import GateConfig
from pipelines.store.artifact_store import version_metadata
from pipelines.store.materializations import latest_materialization, list_materializations, load_current
from pipelines.store.version_store import SHORT, BrokenVersion, Handle, VersionStore

PROMOTED_ADAPTER = dg.AssetKey("promoted_adapter")
POINTER = "adapter.json"
TUNED_ADAPTER = "tuned/adapter"
"""The adapter that is used, in a `motion_adapter` version."""


def write_pointer(folder: Path, adapter: Handle, evaluation: Handle) -> None:
    """adapter.json names the adapter's version and nothing else, so that the same adapter is the same promotion."""
    pointer = {"asset": adapter.asset, "motion": adapter.partition, "sha": adapter.sha}
    (folder / POINTER).write_text(json.dumps(pointer, indent=1))
    (folder / "metrics.json").write_bytes((evaluation.folder / "metrics.json").read_bytes())


def open_promoted(promoted: Handle, store: VersionStore) -> Handle:
    """The adapter that a `promoted_adapter` version names."""
    pointer = json.loads((promoted.folder / POINTER).read_text())
    return store.open(pointer["asset"], pointer["motion"], pointer["sha"])


def find_promoted(instance: dg.DagsterInstance, store: VersionStore, motion: str) -> Handle | None:
    """The adapter now promoted for a motion, or None when none is (or it is gone from the store)."""
    if latest_materialization(instance, PROMOTED_ADAPTER, motion) is None:
        return None
    try:
        return open_promoted(load_current(instance, store, PROMOTED_ADAPTER, motion), store)
    except (dg.Failure, BrokenVersion):
        return None


def judge_adapter(
    instance: dg.DagsterInstance,
    store: VersionStore,
    settings: Settings,
    pack: PackResource,
    adapter: Handle,
    evaluation: Handle,
) -> list[GateResult]:
    """The gates' word on an adapter. The one in use is measured on the same set first, unless it was already."""
    candidate = json.loads((evaluation.folder / "metrics.json").read_text())
    config = settings.read("gates", GateConfig)
    now = find_promoted(instance, store, str(adapter.partition))
    if now is None or now.sha == adapter.sha:
        return apply_gates(candidate, config)
    generation = pack.generation(settings)
    made = evaluate(store, now.folder / TUNED_ADAPTER, now.sha, evaluation.folder / "set", generation, pack.load())
    return apply_gates(candidate, config, json.loads((made / "metrics.json").read_text()))


def find_rolled_back(
    instance: dg.DagsterInstance, store: VersionStore, motion: str, adapter_sha: str
) -> dg.MaterializeResult[Handle] | None:
    """The promotion now in force, once more, if somebody rolled back from this adapter: a rerun must not undo that."""
    event = latest_materialization(instance, PROMOTED_ADAPTER, motion)
    if event is None or adapter_sha not in _rolled_back_adapters(event):
        return None
    handle = load_current(instance, store, PROMOTED_ADAPTER, motion)
    version = store.version(handle.asset, motion, handle.sha)
    kept = {
        name: event.metadata[name] for name in ("adapter", "rolled_back_from", "promoted_by") if name in event.metadata
    }
    return dg.MaterializeResult(
        value=handle,
        data_version=dg.DataVersion(handle.sha),
        metadata={**kept, **version_metadata(handle, version, False, 0.0, version.inputs), "held_back": adapter_sha},
    )


def _rolled_back_adapters(event: dg.AssetMaterialization) -> list[str]:
    entry = event.metadata.get("rolled_back_from")
    return list(entry.value) if entry is not None and isinstance(entry.value, list) else []  # type: ignore[arg-type]


def rollback(instance: dg.DagsterInstance, store: VersionStore, motion: str, version: str = "") -> dict[str, Any]:
    """Put an older promotion of a motion back in force, as an event of its own; returns what was and what is.

    version: the beginning of a promoted version's hash or of its adapter's; without it, the one before the present.
    Raises InputError when there is no such version, or the store has lost it.
    """
    events = list_materializations(instance, PROMOTED_ADAPTER, motion)
    if not events:
        raise InputError(f"no adapter was ever promoted for {motion!r}; there is nothing to go back to")
    now = events[0]
    older: dict[str, dg.AssetMaterialization] = {}
    for event in events:
        older.setdefault(str(event.metadata["sha256"].value), event)
    present = str(now.metadata["sha256"].value)
    refused = set(_rolled_back_adapters(now))
    known = {sha: str(event.metadata["adapter"].value) for sha, event in older.items()}
    if version:
        found = [sha for sha, adapter in known.items() if sha.startswith(version) or adapter.startswith(version)]
    else:
        found = [sha for sha, adapter in known.items() if sha != present and adapter not in refused][:1]
    if len(found) != 1:
        listed = ", ".join(f"{sha[:SHORT]} (adapter {adapter[:SHORT]})" for sha, adapter in known.items())
        asked = f"version {version!r}" if version else "older version"
        raise InputError(f"{motion}: {'several' if found else 'no'} {asked} to go back to; promoted so far: {listed}")
    target = older[found[0]]
    open_promoted(store.open("promoted_adapter", motion, found[0]), store)
    metadata: dict[str, Any] = {
        **target.metadata,
        "rolled_back_from": dg.MetadataValue.json(sorted((refused | {known[present]}) - {known[found[0]]})),
        "promoted_by": "rollback",
        "computed": False,
    }
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            PROMOTED_ADAPTER,
            partition=motion,
            metadata=metadata,
            tags={"dagster/data_version": found[0], **_code(target)},
        )
    )
    return {"motion": motion, "from": present, "to": found[0], "adapter": known[found[0]]}


def _code(event: dg.AssetMaterialization) -> dict[str, str]:
    """The code version of the promotion that is put back, so that its event is as fresh or stale as it was."""
    return {name: value for name, value in (event.tags or {}).items() if name == "dagster/code_version"}
