"""Where a report's metrics come from: adapter, training, videos, scorer, pack and library versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipelines.assets.training import read_json, read_training_curve
from pipelines.promotion.promotion import TUNED_ADAPTER, open_promoted
from pipelines.resources import PackResource
from pipelines.store.version_store import SHORT, Handle, VersionStore


def training_provenance(training_set: Handle, adapter: Handle) -> dict[str, Any]:
    """How the adapter was trained: clips, training curve, steps and start."""
    config = read_json(adapter.folder / TUNED_ADAPTER / "train.json").get("config", {})
    clips = json.loads((training_set.folder / "clips.json").read_text())["clips"]
    return {
        "clips": [
            {**clip, "clip": clip["clip"] + (" (held out)" if clip["role"] == "held_out" else "")} for clip in clips
        ],
        "curve": read_training_curve(adapter.folder / TUNED_ADAPTER),
        "steps": config.get("steps"),
        "init_from": config.get("init_from"),
    }


def motion_provenance(
    pack: PackResource, store: VersionStore, adapter: Handle, sources: Mapping[str, Handle]
) -> dict[str, Any]:
    """Where the metrics of one motion come from, down to code, configuration, libraries, scorer and pack.

    sources: name in the report -> version of the requests, videos and metrics that it shows.
    """
    libraries = store.version(adapter.asset, adapter.partition, adapter.sha).libraries
    return {**_pack_and_scorer(pack), **_motion_versions(store, adapter, sources), "libraries": libraries}


def leaderboard_provenance(
    pack: PackResource, store: VersionStore, reports: Mapping[str, Handle], code: str
) -> dict[str, Any]:
    """Where the metrics of several motions come from: first what all have in common, then the rest by motion.

    reports: motion -> version of its `metric_report`. code: the leaderboard's own code version.
    """
    by_motion = {motion: _report_provenance(store, motion, report) for motion, report in reports.items()}
    common, by_motion = split_common(by_motion)
    return {**_pack_and_scorer(pack), "leaderboard": {"code": code}, **common, **by_motion}


def _report_provenance(store: VersionStore, motion: str, report: Handle) -> dict[str, Any]:
    from mvmodel.generation.request_table import read_requests

    inputs = store.version(report.asset, motion, report.sha).inputs
    sources = {
        name: store.open(value["asset"], motion, value["sha"])
        for name, value in inputs.items()
        if name not in ("promoted_adapter", "training_set")
    }
    adapter = open_promoted(store.open("promoted_adapter", motion, inputs["promoted_adapter"]["sha"]), store)
    libraries = store.version(adapter.asset, motion, adapter.sha).libraries
    seeds = [request.seed for request in read_requests(sources["generation_requests"].folder / "requests.csv")]
    versions = _motion_versions(store, adapter, {"report": report, **sources})
    return {**versions, "seeds": sorted(set(seeds)), "requests": len(seeds), "libraries": libraries}


def split_common(by_name: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split nested values into those that all names have in common, and name -> the values that differ."""
    if len(by_name) < 2:
        return {}, dict(by_name)
    common: dict[str, Any] = {}
    differing: dict[str, dict[str, Any]] = {name: dict(values) for name, values in by_name.items()}
    for key, first in next(iter(by_name.values())).items():
        if not all(key in values for values in by_name.values()):
            continue
        entries = {name: values[key] for name, values in by_name.items()}
        if all(isinstance(entry, Mapping) for entry in entries.values()):
            common[key], nested = split_common(entries)
            for name in differing:
                differing[name][key] = nested[name]
        elif all(entry == first for entry in entries.values()):
            common[key] = first
            for values in differing.values():
                del values[key]
    return common, differing


def _pack_and_scorer(pack: PackResource) -> dict[str, Any]:
    """The pack, and the scorer with the hash of its weights. `random` marks a pack that was never trained."""
    model = pack.load()
    return {
        "random": bool(model.info.random),
        "pack": {"name": model.info.name, "hash": model.hash[:SHORT]},
        **model.scorer().record,
    }


def _motion_versions(store: VersionStore, adapter: Handle, sources: Mapping[str, Handle]) -> dict[str, Any]:
    """The versions of one motion, its adapter, and what the adapter was trained on."""
    version = store.version(adapter.asset, adapter.partition, adapter.sha)
    return {
        **{
            name: {"version": handle.sha[:SHORT], "recipe": handle.recipe[:SHORT], **_version_provenance(store, handle)}
            for name, handle in sources.items()
        },
        "adapter": {
            "version": adapter.sha[:SHORT],
            "recipe": version.recipe[:SHORT],
            "trained": version.created,
            "code": version.code,
            "config": version.config.get(TUNED_ADAPTER, version.config),
        },
        "training_set": {name: value["sha"][:SHORT] for name, value in version.inputs.items()},
    }


def _version_provenance(store: VersionStore, handle: Handle) -> dict[str, Any]:
    """When, with which code and with which configuration a version was created."""
    version = store.version(handle.asset, handle.partition, handle.sha)
    return {"created": version.created, "code": version.code, "config": version.config}
