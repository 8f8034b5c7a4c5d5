"""The resource that assets store their results with: `step` finds the version that a recipe made, or builds it.

An asset receives handles, calls `store.step(...)` with a function that fills a folder, and returns the result.
Dagster's event log records which version of an asset is current; the version store holds what each version consists of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from mvmodel.code_version import library_versions
from pipelines.driver.progress import print_progress
from pipelines.store.version_store import SHORT, BrokenVersion, Handle, Version, VersionStore, recipe_hash

Inputs = Mapping[str, Handle | Mapping[str, Handle]]


class ArtifactStore(dg.ConfigurableResource):
    """Where versions are kept."""

    root: str
    """A folder, or any fsspec address such as s3://bucket/mvmodel."""
    work: str
    """A local folder for builds in progress; on the root's file system when that is local, so that moving is free."""

    @property
    def store(self) -> VersionStore:
        return VersionStore(self.root, Path(self.work))

    def step(
        self,
        context: dg.AssetExecutionContext,
        inputs: Inputs,
        config: BaseModel | Mapping[str, Any],
        build: Callable[[Path], None],
        describe: Callable[[Path], Mapping[str, Any]] = lambda folder: {},
        pack: Mapping[str, str] | None = None,
        volatile: tuple[str, ...] = (),
        leave_out: tuple[str, ...] = (),
        source: Mapping[str, Any] | None = None,
    ) -> dg.MaterializeResult[Handle]:
        """Emit the version that this recipe makes, building it only if it is not stored yet.

        inputs, config, pack and the asset's code_version are the recipe. build(folder) fills a work folder that
        outlives a kill, so it may resume from what it finds there. describe(folder) gives metadata from what is stored.
        `source` is written to the manifest but is no part of the recipe (a folder's address, say).
        """
        asset = context.asset_key.path[-1]
        partition = context.partition_key if context.has_partition_key else None
        store = self.store
        settings = config.model_dump(mode="json") if isinstance(config, BaseModel) else dict(config)
        code = context.assets_def.code_versions_by_key[context.asset_key] or ""
        made_of = _flat(inputs)
        recipe = recipe_hash(
            asset=asset,
            partition=partition,
            code=code,
            config=settings,
            inputs={name: value["sha"] for name, value in made_of.items()},
            pack=dict(pack or {}).get("hash", ""),
        )
        began = time.perf_counter()
        computed, seconds = False, 0.0
        with store.build_lock(recipe) as work:
            version = self._stored(context, store, asset, partition, recipe)
            if version is None:
                computed = True
                work.mkdir(parents=True, exist_ok=True)
                build(work)
                seconds = time.perf_counter() - began
                version = store.commit(
                    work,
                    volatile,
                    leave_out,
                    asset=asset,
                    partition=partition,
                    recipe=recipe,
                    inputs=made_of,
                    code=code,
                    config=settings,
                    pack=dict(pack or {}),
                    libraries=library_versions(),
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    seconds=round(seconds, 3),
                    run=context.run_id,
                    source=dict(source or {}),
                )
        handle = store.open(asset, partition, version.sha, recipe)
        print_progress(f"  {handle.key:<32} {f'{seconds:.1f} s' if computed else 'as before'}")
        return dg.MaterializeResult(
            value=handle,
            data_version=dg.DataVersion(version.sha),
            metadata={**describe(handle.folder), **version_metadata(handle, version, computed, seconds, made_of)},
        )

    def _stored(
        self, context: dg.AssetExecutionContext, store: VersionStore, asset: str, partition: str | None, recipe: str
    ) -> Version | None:
        version = store.find(asset, partition, recipe)
        if version is None:
            return None
        try:
            store.open(asset, partition, version.sha)
            return version
        except BrokenVersion as error:
            apart = store.mark_broken(version)
            context.log.warning(f"{error} - the broken one was set apart at {apart} and is made again now")
            return None


def version_metadata(
    handle: Handle, version: Version, computed: bool, seconds: float, made_of: Mapping[str, Any]
) -> dict[str, Any]:
    """The metadata that every stored asset has."""
    return {
        "path": dg.MetadataValue.path(str(handle.folder)),
        "sha256": version.sha,
        "recipe": handle.recipe,
        "bytes": version.bytes,
        "files": len(version.files),
        "computed": computed,
        "seconds": round(seconds, 3),
        "inputs": dg.MetadataValue.json({name: value["sha"][:SHORT] for name, value in made_of.items()}),
        "pack": version.pack.get("name", ""),
    }


def with_metadata(result: dg.MaterializeResult[Handle], **more: Any) -> dg.MaterializeResult[Handle]:
    """The result with more metadata."""
    metadata = {**(result.metadata or {}), **more}
    return dg.MaterializeResult(value=result.value, data_version=result.data_version, metadata=metadata)


def _flat(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """Inputs by name; the partitions of a fan-in are named asset[partition]."""
    handles: dict[str, Handle] = {}
    for name, value in inputs.items():
        if isinstance(value, Handle):
            handles[name] = value
        else:
            handles.update({f"{name}[{key}]": handle for key, handle in sorted(value.items())})
    return {n: {"asset": h.asset, "partition": h.partition, "sha": h.sha} for n, h in handles.items()}
