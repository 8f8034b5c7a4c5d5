"""The resource that assets store their results with: `step` finds the version that a recipe made, or builds it.

An asset receives handles, calls `store.step(...)` with a function that fills a folder, and returns the result.
Dagster's event log records which version of an asset is current; the version store holds what each version consists of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from mvmodel.code_version import library_versions
from mvmodel.training.checkpoint_events import checkpoint_listener
from pipelines.driver.progress import print_progress
from pipelines.store.address import resolve_options
from pipelines.store.repeated_metadata import repeat_metadata
from pipelines.store.verified_files import VERIFY_HOURS, verify_once
from pipelines.store.version_store import SHORT, BrokenVersion, Handle, Version, VersionStore, recipe_hash

Inputs = Mapping[str, Handle | Mapping[str, Handle]]
"""Name -> handle, or name -> partition -> handle where all partitions of an asset are read."""


@dataclass(frozen=True)
class Recipe:
    """What decides the content of a version.

    parts: asset, partition, code version and settings. inputs: name -> asset, partition and sha. hash: of all of it.
    """

    parts: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    hash: str

    @classmethod
    def of_step(
        cls,
        context: dg.AssetExecutionContext,
        inputs: Inputs,
        config: BaseModel | Mapping[str, Any],
        pack: Mapping[str, str] | None,
    ) -> Recipe:
        """The recipe of a step; the arguments are those of `ArtifactStore.step`."""
        parts: dict[str, Any] = {
            "asset": context.asset_key.path[-1],
            "partition": context.partition_key if context.has_partition_key else None,
            "code": context.assets_def.code_versions_by_key[context.asset_key] or "",
            "config": config.model_dump(mode="json") if isinstance(config, BaseModel) else dict(config),
        }
        versions = _list_input_versions(inputs)
        shas = {name: version["sha"] for name, version in versions.items()}
        return cls(parts, versions, recipe_hash(**parts, inputs=shas, pack=dict(pack or {}).get("hash", "")))

    @property
    def key(self) -> dict[str, Any]:
        """Asset and partition."""
        return {name: self.parts[name] for name in ("asset", "partition")}


class ArtifactStore(dg.ConfigurableResource):
    """Stores what assets produce, in versions that never change."""

    root: str
    """Where versions are kept: a folder, or an fsspec address such as s3://bucket/mvmodel."""
    work: str
    """A local folder for builds in progress; on the file system of a local root, moving takes no time."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the fsspec file system. {"env": NAME} stands for the value of an environment variable."""
    verify_hours: float = VERIFY_HOURS
    """Hours after which a version's files are hashed again when it is used."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[ArtifactStore]:
        """For the steps of a run in this process: they need not verify what one of them has just verified."""
        with verify_once():
            yield self

    @property
    def store(self) -> VersionStore:
        """The store itself, for reading versions. Raises InputError if an environment variable is not set."""
        return VersionStore(self.root, Path(self.work), resolve_options(self.options), self.verify_hours)

    def step(
        self,
        context: dg.AssetExecutionContext,
        inputs: Inputs,
        config: BaseModel | Mapping[str, Any],
        build: Callable[[Path], None],
        describe: Callable[[Path], Mapping[str, Any]] = lambda folder: {},
        pack: Mapping[str, str] | None = None,
        volatile: tuple[str, ...] = (),
        *,
        source: Mapping[str, Any] | None = None,
        rebuild: bool = False,
    ) -> dg.MaterializeResult[Handle]:
        """Materialize the version that a recipe makes. Calls `build` only if that version is not stored yet.

        The recipe is the asset with its partition and code version, `inputs`, `config`, and the hash in `pack`.
        build(folder): writes all files into a folder that survives interruptions, so it can resume from what is there.
        describe(folder): metadata for the UI, computed from the stored files. volatile: patterns of files that may
        differ between builds of the same recipe. source: recorded in the manifest, but not part of the recipe.
        rebuild: build although the version is stored.
        """
        recipe = Recipe.of_step(context, inputs, config, pack)
        store, started, seconds = self.store, time.perf_counter(), 0.0
        with store.build_lock(recipe.hash) as work:
            stored_version = None if rebuild else _open_intact(store, context, recipe)
            computed = stored_version is None
            if stored_version is not None:
                version, handle = stored_version
            else:
                if store.builds is not None:
                    store.builds.restore(work.name)
                work.mkdir(parents=True, exist_ok=True)
                with checkpoint_listener(None if store.builds is None else partial(store.builds.save, work.name)):
                    build(work)
                seconds = time.perf_counter() - started
                version = store.commit(
                    work,
                    volatile,
                    **recipe.parts,
                    recipe=recipe.hash,
                    inputs=recipe.inputs,
                    pack=dict(pack or {}),
                    libraries=library_versions(),
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    seconds=round(seconds, 3),
                    run=context.run_id,
                    source=dict(source or {}),
                )
                if store.builds is not None:
                    store.builds.discard(work.name)
                handle = store.open(**recipe.key, sha=version.sha, recipe=recipe.hash)
        repeated = None if computed else repeat_metadata(context.instance, handle)
        metadata = describe(handle.folder) if repeated is None else repeated
        line = f"  {handle.key:<32} {f'{seconds:.1f} s' if computed else 'reused'}"
        print_progress(line, **recipe.key, version=version.sha, computed=computed, seconds=round(seconds, 3))
        return dg.MaterializeResult(
            value=handle,
            data_version=dg.DataVersion(version.sha),
            metadata={**metadata, **version_metadata(handle, version, computed, seconds, recipe.inputs)},
        )


def version_metadata(
    handle: Handle, version: Version, computed: bool, seconds: float, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """The metadata that every stored asset has. inputs: name -> {"sha": ...}."""
    return {
        "path": dg.MetadataValue.path(str(handle.folder)),
        "sha256": version.sha,
        "recipe": handle.recipe,
        "bytes": version.bytes,
        "files": len(version.files),
        "computed": computed,
        "seconds": round(seconds, 3),
        "inputs": dg.MetadataValue.json({name: value["sha"][:SHORT] for name, value in inputs.items()}),
        "pack": version.pack.get("name", ""),
    }


def with_metadata(result: dg.MaterializeResult[Handle], **metadata: Any) -> dg.MaterializeResult[Handle]:
    """The same result with additional metadata, which the UI shows first."""
    others = {name: value for name, value in (result.metadata or {}).items() if name not in metadata}
    return dg.MaterializeResult(value=result.value, data_version=result.data_version, metadata={**metadata, **others})


def _open_intact(
    store: VersionStore, context: dg.AssetExecutionContext, recipe: Recipe
) -> tuple[Version, Handle] | None:
    """The version that a recipe made, if all of its files are intact; a broken one is set apart."""
    version = store.find(**recipe.key, recipe=recipe.hash)
    if version is None:
        return None
    try:
        return version, store.open(**recipe.key, sha=version.sha, recipe=recipe.hash)
    except BrokenVersion as error:
        renamed = store.set_apart(version)
        context.log.warning(f"{error}; the broken version was set apart as {renamed}, and is now built again")
        return None


def _list_input_versions(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """Name -> asset, partition and sha of every input; one of several partitions is named name[partition]."""
    handles: dict[str, Handle] = {}
    for name, value in inputs.items():
        if isinstance(value, Handle):
            handles[name] = value
        else:
            handles.update({f"{name}[{key}]": handle for key, handle in sorted(value.items())})
    return {n: {"asset": h.asset, "partition": h.partition, "sha": h.sha} for n, h in handles.items()}
