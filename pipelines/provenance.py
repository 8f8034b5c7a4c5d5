"""What a report says about where its figures come from: adapter, training, videos, figures, scorer, pack, libraries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipelines.assets.training import read_curve, read_json
from pipelines.promotion import ADAPTER
from pipelines.resources import PackResource
from pipelines.store import SHORT, Handle, Store


def trained(training: Handle, adapter: Handle) -> dict[str, Any]:
    """What a report says about the adapter's training."""
    recorded = read_json(adapter.folder / ADAPTER / "train.json")
    clips = json.loads((training.folder / "clips.json").read_text())["clips"]
    return {
        "clips": [
            {**clip, "clip": clip["clip"] + (" (held out)" if clip["role"] == "held_out" else "")} for clip in clips
        ],
        "curve": read_curve(adapter.folder / ADAPTER),
        "steps": recorded.get("config", {}).get("steps"),
        "init_from": recorded.get("config", {}).get("init_from"),
    }


def made_from(
    pack: PackResource, store: Store, adapter: Handle, shown: Mapping[str, Handle] | None = None
) -> dict[str, Any]:
    """Where a report's figures come from, down to code, configuration, libraries, scorer and the pack.

    shown: the versions of what the report shows (requests, videos, figures), by name.
    """
    model, made = pack.load(), store.version(adapter.asset, adapter.partition, adapter.sha)
    return {
        "random": bool(model.info.random),
        "pack": {"name": model.info.name, "hash": model.hash[:SHORT]},
        **model.scorer().record,
        **{
            name: {"version": handle.sha[:SHORT], "recipe": handle.recipe[:SHORT], **_made(store, handle)}
            for name, handle in (shown or {}).items()
        },
        "adapter": {
            "version": adapter.sha[:SHORT],
            "recipe": made.recipe[:SHORT],
            "trained": made.created,
            "code": made.code,
            "config": made.config.get(ADAPTER, made.config),
        },
        "training_set": {name: value["sha"][:SHORT] for name, value in made.inputs.items()},
        "libraries": made.libraries,
    }


def _made(store: Store, handle: Handle) -> dict[str, Any]:
    """When, by which code and with which configuration a version was made."""
    made = store.version(handle.asset, handle.partition, handle.sha)
    return {"made": made.created, "code": made.code, "config": made.config}
