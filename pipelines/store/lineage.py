"""From a file back to everything that made it, by the manifests in the store: no database is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError
from mvmodel.files import hash_file
from pipelines.store.version_store import MANIFEST, SHORT, BrokenVersion, Version, VersionStore


def find_version(path: Path, store: VersionStore) -> Version:
    """The version that a file belongs to, by where it lies, else by its content. Raises InputError when unknown."""
    path = path.expanduser().resolve()
    if not path.exists():
        raise InputError(f"there is no {path}")
    for folder in (path, *path.parents):
        if (folder / MANIFEST).is_file():
            return Version.read((folder / MANIFEST).read_text())
    if path.is_file():
        sha = hash_file(path)
        for version in sorted(store.versions(), key=lambda v: v.created, reverse=True):
            if sha in version.files.values():
                return version
    raise InputError(f"{path} is in no version of the store at {store.root}; give a file that a run of this home made")


def lineage_tree(version: Version, store: VersionStore) -> dict[str, Any]:
    """A version and, below `inputs`, what it was made from, down to the raw clips."""
    inputs: dict[str, Any] = {}
    for name, made_of in version.inputs.items():
        try:
            inputs[name] = lineage_tree(store.version(made_of["asset"], made_of["partition"], made_of["sha"]), store)
        except BrokenVersion:
            inputs[name] = {**made_of, "lost": True}
    return {
        "asset": version.asset,
        "partition": version.partition,
        "version": version.sha,
        "path": str(store.path_of(version.asset, version.partition, version.sha)),
        "created": version.created,
        "recipe": version.recipe,
        "code": version.code,
        "config": version.config,
        "pack": version.pack,
        "libraries": version.libraries,
        "source": version.source,
        "clips": _clips(store, version),
        "inputs": inputs,
    }


def _clips(store: VersionStore, version: Version) -> list[str]:
    """The clips of a training set, by name and role; nothing for other assets."""
    path = store.path_of(version.asset, version.partition, version.sha) / "clips.json"
    if version.asset != "training_set" or not path.exists():
        return []
    return [f"{clip['clip']} ({clip['role']})" for clip in json.loads(path.read_text())["clips"]]


def read_video_settings(path: Path) -> dict[str, Any]:
    """The settings that a generated video was made with (prompt, seed, ...), from the .json of its name."""
    beside = path.with_suffix(".json")
    try:
        value = json.loads(beside.read_text()) if beside.is_file() and beside != path else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def format_lineage(tree: dict[str, Any], indent: str = "", seen: set[str] | None = None) -> Iterator[str]:
    """The tree as text; a version that comes up again is named, not spelled out twice."""
    seen = set() if seen is None else seen
    key = tree["asset"] + (f"[{tree['partition']}]" if tree["partition"] else "")
    short = str(tree.get("version", tree.get("sha", "")))[:SHORT]
    if tree.get("lost"):
        yield f"{indent}{key} {short} (no longer in the store)"
        return
    again = f"{key}{short}" in seen
    yield f"{indent}{key} {short}" + (" (above)" if again else f"  {tree['created']}")
    if again:
        return
    seen.add(f"{key}{short}")
    pack = tree["pack"]
    facts = {
        "code": tree["code"],
        "pack": f"{pack['name']} {pack['hash'][:SHORT]}" if pack else "",
        "config": json.dumps(tree["config"], sort_keys=True) if tree["config"] else "",
        "source": json.dumps(tree["source"]) if tree["source"] else "",
        "clips": ", ".join(tree["clips"]),
        "path": tree["path"],
    }
    for name, value in facts.items():
        if value:
            yield f"{indent}    {name}: {value}"
    for below in tree["inputs"].values():
        yield from format_lineage(below, indent + "  ", seen)
