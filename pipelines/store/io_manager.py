"""How assets meet the store: a resource whose `step` builds or finds a version, and the handles' IO manager.

Dagster's event log says which version of an asset is current; the store says what that version holds. An asset gets
handles, calls `store.step(...)` with a function that fills a folder, and returns what that gives.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from mvmodel.code_version import libraries
from pipelines.driver.progress import say
from pipelines.store.store import SHORT, BrokenVersion, Handle, Store, Version, recipe_hash

Inputs = Mapping[str, Handle | Mapping[str, Handle]]


class ArtifactStore(dg.ConfigurableResource):
    """Where versions are kept."""

    root: str
    """A folder, or any fsspec address such as s3://bucket/mvmodel."""
    work: str
    """A local folder for builds in progress; on the root's file system when that is local, so that moving is free."""

    @property
    def store(self) -> Store:
        return Store(self.root, Path(self.work))

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
        with store.building(recipe) as work:
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
                    libraries=libraries(),
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    seconds=round(seconds, 3),
                    run=context.run_id,
                    source=dict(source or {}),
                )
        handle = store.open(asset, partition, version.sha, recipe)
        say(f"  {handle.key:<32} {f'{seconds:.1f} s' if computed else 'as before'}")
        return dg.MaterializeResult(
            value=handle,
            data_version=dg.DataVersion(version.sha),
            metadata={**describe(handle.folder), **facts(handle, version, computed, seconds, made_of)},
        )

    def _stored(
        self, context: dg.AssetExecutionContext, store: Store, asset: str, partition: str | None, recipe: str
    ) -> Version | None:
        version = store.find(asset, partition, recipe)
        if version is None:
            return None
        try:
            store.open(asset, partition, version.sha)
            return version
        except BrokenVersion as error:
            apart = store.set_apart(version)
            context.log.warning(f"{error} - the broken one was set apart at {apart} and is made again now")
            return None


def facts(
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


def also(result: dg.MaterializeResult[Handle], **more: Any) -> dg.MaterializeResult[Handle]:
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


class HandleIOManager(dg.ConfigurableIOManager):
    """Hands over handles. Which version is current is the event log's word; whether it is whole is checked here."""

    store: ArtifactStore

    def handle_output(self, context: dg.OutputContext, obj: Handle) -> None:
        if not isinstance(obj, Handle):
            raise dg.Failure(
                f"{context.asset_key.to_user_string()} returned {type(obj).__name__}, not a handle", allow_retries=False
            )

    def load_input(self, context: dg.InputContext) -> Handle | dict[str, Handle]:
        """The upstream's current version, or {partition: handle} of those that exist when all partitions are read."""
        key = context.asset_key
        if not context.has_asset_partitions:
            return current(context.instance, self.store.store, key)
        if context.has_partition_key:
            return current(context.instance, self.store.store, key, context.asset_partition_key)
        known = context.instance.get_materialized_partitions(key)
        return {
            k: current(context.instance, self.store.store, key, k) for k in context.asset_partition_keys if k in known
        }


def current(instance: dg.DagsterInstance, store: Store, key: dg.AssetKey | str, partition: str | None = None) -> Handle:
    """A handle on the version that the latest materialisation names. Raises dg.Failure naming the key and the path."""
    key = dg.AssetKey(key) if isinstance(key, str) else key
    named = key.to_user_string() + (f"[{partition}]" if partition else "")
    record = latest(instance, key, partition)
    if record is None:
        raise dg.Failure(f"{named} has never been materialised; do that first", allow_retries=False)
    sha, recipe = (str(record.metadata[name].value) for name in ("sha256", "recipe"))
    try:
        return store.open(key.path[-1], partition, sha, recipe)
    except BrokenVersion as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def latest(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None
) -> dg.AssetMaterialization | None:
    """The latest materialisation of an asset (of a partition)."""
    found = history(instance, key, partition, limit=1)
    return found[0] if found else None


def history(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None, limit: int = 1000
) -> list[dg.AssetMaterialization]:
    """Materialisations of an asset (of a partition), newest first."""
    chosen = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    records = instance.fetch_materializations(chosen, limit=limit).records
    return [r.asset_materialization for r in records if r.asset_materialization is not None]


def clear(folder: Path) -> Path:
    """An empty folder: what a killed build left there that cannot be resumed is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
