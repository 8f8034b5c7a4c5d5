"""From a file back to everything that it was made from, by the manifests in the store; no database is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError
from mvmodel.files import hash_file
from pipelines.store.version_store import MANIFEST, SHORT, BrokenVersion, Version, VersionStore, format_key


def find_version(path: Path, store: VersionStore) -> Version:
    """The version that a file belongs to: by the folder it is in, else by its content. Raises InputError if none."""
    path = path.expanduser().resolve()
    if not path.exists():
        raise InputError(f"there is no {path}")
    for folder in (path, *path.parents):
        if (folder / MANIFEST).is_file():
            with suppress(ValueError, TypeError):  # another program's manifest.json
                return Version.from_json((folder / MANIFEST).read_text())
    if path.is_file():
        sha = hash_file(path)
        for version in sorted(store.versions(), key=lambda v: v.created, reverse=True):
            if sha in version.files.values():
                return version
    raise InputError(f"{path} is in no version of the store at {store.root}; name a file that a run of this home wrote")


def lineage_tree(version: Version, store: VersionStore) -> dict[str, Any]:
    """A version and, below `inputs`, the versions that it was made from, back to the raw clips."""
    inputs: dict[str, Any] = {}
    for name, source in version.inputs.items():
        try:
            inputs[name] = lineage_tree(store.version(source["asset"], source["partition"], source["sha"]), store)
        except BrokenVersion:
            inputs[name] = {**source, "lost": True}
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
        "clips": _list_clips(store, version),
        "inputs": inputs,
    }


def _list_clips(store: VersionStore, version: Version) -> list[str]:
    """The clips of a training set, by name and role; empty for other assets."""
    path = store.path_of(version.asset, version.partition, version.sha) / "clips.json"
    if version.asset != "training_set" or not path.exists():
        return []
    return [f"{clip['clip']} ({clip['role']})" for clip in json.loads(path.read_text())["clips"]]


def read_video_settings(path: Path) -> dict[str, Any]:
    """The settings of a generated video (prompt, seed, ...), from the .json of the same name; else empty."""
    settings_file = path.with_suffix(".json")
    try:
        value = json.loads(settings_file.read_text()) if settings_file.is_file() and settings_file != path else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


LINEAGE_COLUMNS = ("made from", "version", "created", "code", "pack", "clips")
"""Columns of the rows of `list_lineage`."""


def list_lineage(tree: dict[str, Any], depth: int = 0, listed: set[str] | None = None) -> Iterator[list[str]]:
    """The rows of a lineage, inputs below and indented. A version that occurs again has one row."""
    listed = set() if listed is None else listed
    sha = str(tree.get("version", tree.get("sha", "")))[:SHORT]
    name = f"{'  ' * depth}{format_key(tree['asset'], tree['partition'])}"
    if f"{tree['asset']} {sha}" in listed:
        return
    listed.add(f"{tree['asset']} {sha}")
    if tree.get("lost"):
        yield [name, sha, "no longer in the store", "", "", ""]
        return
    clips = tree["clips"] or [f"{key}: {value}" for key, value in tree["source"].items() if key == "folder"]
    yield [name, sha, tree["created"], tree["code"], tree["pack"].get("name", ""), ", ".join(clips)]
    for source in tree["inputs"].values():
        yield from list_lineage(source, depth + 1, listed)
