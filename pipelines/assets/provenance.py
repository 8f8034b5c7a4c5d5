"""What a report says about where its metrics come from: adapter, training, videos, metrics, scorer, pack, libraries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipelines.assets.training import read_json, read_training_curve
from pipelines.promotion.promotion import TUNED_ADAPTER, open_promoted
from pipelines.resources import PackResource
from pipelines.store.version_store import SHORT, Handle, VersionStore


def training_provenance(training: Handle, adapter: Handle) -> dict[str, Any]:
    """What a report says about the adapter's training."""
    recorded = read_json(adapter.folder / TUNED_ADAPTER / "train.json")
    clips = json.loads((training.folder / "clips.json").read_text())["clips"]
    return {
        "clips": [
            {**clip, "clip": clip["clip"] + (" (held out)" if clip["role"] == "held_out" else "")} for clip in clips
        ],
        "curve": read_training_curve(adapter.folder / TUNED_ADAPTER),
        "steps": recorded.get("config", {}).get("steps"),
        "init_from": recorded.get("config", {}).get("init_from"),
    }


def motion_provenance(
    pack: PackResource, store: VersionStore, adapter: Handle, shown: Mapping[str, Handle] | None = None
) -> dict[str, Any]:
    """Where a report's metrics come from, down to code, configuration, libraries, scorer and the pack.

    shown: the versions of what the report shows (requests, videos, metrics), by name.
    """
    made = store.version(adapter.asset, adapter.partition, adapter.sha)
    return {**_pack_and_scorer(pack), **_motion_versions(store, adapter, shown or {}), "libraries": made.libraries}


def leaderboard_provenance(
    pack: PackResource, store: VersionStore, reports: Mapping[str, Handle], code: str
) -> dict[str, Any]:
    """The same for reports of several motions: what they have in common once, then what is each one's own.

    reports: motion -> the version of its `metric_report`. code: the leaderboard's own code version.
    """
    from mvmodel.generation.requests import read_requests

    each: dict[str, Any] = {}
    for motion, handle in reports.items():
        made = store.version(handle.asset, motion, handle.sha)
        parts = {
            name: store.open(value["asset"], motion, value["sha"])
            for name, value in made.inputs.items()
            if name not in ("promoted_adapter", "training_set")
        }
        adapter = open_promoted(store.open("promoted_adapter", motion, made.inputs["promoted_adapter"]["sha"]), store)
        libraries = store.version(adapter.asset, motion, adapter.sha).libraries
        seeds = [request.seed for request in read_requests(parts["generation_requests"].folder / "requests.csv")]
        own = _motion_versions(store, adapter, {"report": handle, **parts})
        each[motion] = {**own, "seeds": sorted(set(seeds)), "requests": len(seeds), "libraries": libraries}
    same, differing = split_common(each)
    return {**_pack_and_scorer(pack), "leaderboard": {"code": code}, **same, **differing}


def split_common(each: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Nested values by name, taken apart: what all of them have alike, and {name: what is left of its own}."""
    if len(each) < 2:
        return {}, dict(each)
    first = next(iter(each.values()))
    same: dict[str, Any] = {}
    rest: dict[str, dict[str, Any]] = {name: dict(values) for name, values in each.items()}
    for key in list(first):
        if not all(key in values for values in each.values()):
            continue
        values = {name: one[key] for name, one in each.items()}
        if all(isinstance(value, Mapping) for value in values.values()):
            same[key], left = split_common(values)
            for name in rest:
                rest[name][key] = left[name]
        elif all(value == values[next(iter(values))] for value in values.values()):
            same[key] = first[key]
            for own in rest.values():
                del own[key]
    return same, rest


def _pack_and_scorer(pack: PackResource) -> dict[str, Any]:
    """Pack, scorer with the hash of its weights, preprocessing; `random` marks a pack that was never trained."""
    model = pack.load()
    return {
        "random": bool(model.info.random),
        "pack": {"name": model.info.name, "hash": model.hash[:SHORT]},
        **model.scorer().record,
    }


def _motion_versions(store: VersionStore, adapter: Handle, shown: Mapping[str, Handle]) -> dict[str, Any]:
    """One motion's versions, its adapter and what that was trained on."""
    made = store.version(adapter.asset, adapter.partition, adapter.sha)
    return {
        **{
            name: {"version": handle.sha[:SHORT], "recipe": handle.recipe[:SHORT], **_version_provenance(store, handle)}
            for name, handle in shown.items()
        },
        "adapter": {
            "version": adapter.sha[:SHORT],
            "recipe": made.recipe[:SHORT],
            "trained": made.created,
            "code": made.code,
            "config": made.config.get(TUNED_ADAPTER, made.config),
        },
        "training_set": {name: value["sha"][:SHORT] for name, value in made.inputs.items()},
    }


def _version_provenance(store: VersionStore, handle: Handle) -> dict[str, Any]:
    """When, by which code and with which configuration a version was made."""
    made = store.version(handle.asset, handle.partition, handle.sha)
    return {"made": made.created, "code": made.code, "config": made.config}
