"""Promotion of adapters: which one of a motion is in use, judging a new one, and rolling back to an older one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.errors import InputError
from mvmodel.metrics.config import JudgeConfig
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
"""In a `motion_adapter` version: the adapter that can be promoted."""


def write_pointer(folder: Path, adapter: Handle, evaluation: Handle) -> None:
    """Write adapter.json, which names the adapter's version only, so that the same adapter gives the same version."""
    pointer = {"asset": adapter.asset, "motion": adapter.partition, "sha": adapter.sha}
    (folder / POINTER).write_text(json.dumps(pointer, indent=1))
    (folder / "metrics.json").write_bytes((evaluation.folder / "metrics.json").read_bytes())


def open_promoted(promoted: Handle, store: VersionStore) -> Handle:
    """Open the adapter that a `promoted_adapter` version names."""
    pointer = json.loads((promoted.folder / POINTER).read_text())
    return store.open(pointer["asset"], pointer["motion"], pointer["sha"])


def find_promoted(instance: dg.DagsterInstance, store: VersionStore, motion: str) -> Handle | None:
    """The adapter that is promoted for a motion; None if there is none, or the store has lost it."""
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
    """Apply the gates to an adapter. The promoted adapter is measured on the same videos first, once."""
    candidate = json.loads((evaluation.folder / "metrics.json").read_text())
    config, judge = settings.read("gates", GateConfig), settings.read("judge", JudgeConfig)
    promoted = find_promoted(instance, store, str(adapter.partition))
    if promoted is None or promoted.sha == adapter.sha:
        return apply_gates(candidate, config)
    weights, requests, generation = (
        promoted.folder / TUNED_ADAPTER,
        evaluation.folder / "set",
        pack.generation(settings),
    )
    results = evaluate(store, weights, promoted.sha, requests, generation, pack.load(), pack.get_workers(), judge)
    return apply_gates(candidate, config, json.loads((results / "metrics.json").read_text()))


def find_rolled_back(
    instance: dg.DagsterInstance, store: VersionStore, motion: str, adapter_sha: str
) -> dg.MaterializeResult[Handle] | None:
    """The current promotion if somebody rolled back from this adapter, else None. A re-run must not undo a rollback."""
    event = latest_materialization(instance, PROMOTED_ADAPTER, motion)
    if event is None or adapter_sha not in _rolled_back_adapters(event):
        return None
    handle = load_current(instance, store, PROMOTED_ADAPTER, motion)
    version = store.version(handle.asset, motion, handle.sha)
    names = ("adapter", "rolled_back_from", "promoted_by")
    metadata = {name: event.metadata[name] for name in names if name in event.metadata}
    return dg.MaterializeResult(
        value=handle,
        data_version=dg.DataVersion(handle.sha),
        metadata={
            **metadata,
            **version_metadata(handle, version, False, 0.0, version.inputs),
            "held_back": adapter_sha,
        },
    )


def _rolled_back_adapters(event: dg.AssetMaterialization) -> list[str]:
    entry = event.metadata.get("rolled_back_from")
    return list(entry.value) if entry is not None and isinstance(entry.value, list) else []  # type: ignore[arg-type]


def rollback(instance: dg.DagsterInstance, store: VersionStore, motion: str, version: str = "") -> dict[str, Any]:
    """Promote an older adapter of a motion again, by an event in the log.

    version: the beginning of the hash of a promoted version or of its adapter; by default, the previous promotion.
    Returns motion, from, to (versions) and adapter. Raises InputError if there is no such version, or the store has
    lost it.
    """
    events = list_materializations(instance, PROMOTED_ADAPTER, motion)
    if not events:
        raise InputError(f"no adapter of {motion!r} was ever promoted, so there is none to go back to")
    promotions: dict[str, dg.AssetMaterialization] = {}
    for event in events:
        promotions.setdefault(str(event.metadata["sha256"].value), event)
    current = str(events[0].metadata["sha256"].value)
    rolled_back = set(_rolled_back_adapters(events[0]))
    adapters = {sha: str(event.metadata["adapter"].value) for sha, event in promotions.items()}
    target = _select_promotion(motion, adapters, current, rolled_back, version)
    open_promoted(store.open("promoted_adapter", motion, target), store)
    metadata: dict[str, Any] = {
        **promotions[target].metadata,
        "rolled_back_from": dg.MetadataValue.json(sorted((rolled_back | {adapters[current]}) - {adapters[target]})),
        "promoted_by": "rollback",
        "computed": False,
    }
    tags = {"dagster/data_version": target, **_code_version_tag(promotions[target])}
    event = dg.AssetMaterialization(PROMOTED_ADAPTER, partition=motion, metadata=metadata, tags=tags)
    instance.report_runless_asset_event(event)
    return {"motion": motion, "from": current, "to": target, "adapter": adapters[target]}


def _select_promotion(motion: str, adapters: dict[str, str], current: str, rolled_back: set[str], version: str) -> str:
    """The version to go back to. adapters: promoted version -> its adapter, newest first."""
    if version:
        matches = [sha for sha, adapter in adapters.items() if sha.startswith(version) or adapter.startswith(version)]
    else:
        matches = [sha for sha, adapter in adapters.items() if sha != current and adapter not in rolled_back][:1]
    if len(matches) != 1:
        promoted = ", ".join(f"{sha[:SHORT]} (adapter {adapter[:SHORT]})" for sha, adapter in adapters.items())
        label = f"version {version!r}" if version else "older version"
        raise InputError(
            f"{motion}: {'more than one' if matches else 'no'} {label} to go back to; promoted so far: {promoted}"
        )
    return matches[0]


def _code_version_tag(event: dg.AssetMaterialization) -> dict[str, str]:
    """The code version of the older promotion, so that the new event is as fresh or stale as that one was."""
    return {name: value for name, value in (event.tags or {}).items() if name == "dagster/code_version"}
