"""Reads Dagster's event log: which version of an asset is current, and which ones there were."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from pipelines.store.version_store import BrokenVersion, Handle, VersionStore, format_key


def load_current(
    instance: dg.DagsterInstance, store: VersionStore, key: dg.AssetKey | str, partition: str | None = None
) -> Handle:
    """A handle on the version of the latest materialization.

    Raises dg.Failure naming the asset and the path. A damaged version is set apart, so that it can be built again.
    """
    key = dg.AssetKey(key) if isinstance(key, str) else key
    materialization = latest_materialization(instance, key, partition)
    if materialization is None:
        name = format_key(key.to_user_string(), partition)
        raise dg.Failure(f"{name} has never been materialized; do that first", allow_retries=False)
    sha, recipe = (str(materialization.metadata[name].value) for name in ("sha256", "recipe"))
    try:
        return store.open(key.path[-1], partition, sha, recipe)
    except BrokenVersion as error:
        raise dg.Failure(f"{error}{_set_apart(store, key.path[-1], partition, sha)}", allow_retries=False) from error


def load_partitions(
    instance: dg.DagsterInstance, store: VersionStore, key: dg.AssetKey, partitions: Iterable[str]
) -> dict[str, Handle]:
    """Partition -> a handle on its current version, of those that have been materialized. Raises as `load_current`."""
    materialized = instance.get_materialized_partitions(key)
    return {name: load_current(instance, store, key, name) for name in partitions if name in materialized}


def _set_apart(store: VersionStore, asset: str, partition: str | None, sha: str) -> str:
    """Set a damaged version apart; returns a clause that says so, or "" if it is not there or cannot be renamed."""
    try:
        return f" (it was set apart as {store.set_apart(store.version(asset, partition, sha))})"
    except (BrokenVersion, OSError):
        return ""


def latest_materialization(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None
) -> dg.AssetMaterialization | None:
    """The latest materialization of an asset, or of one of its partitions; None if there is none."""
    return next(iter(list_materializations(instance, key, partition, limit=1)), None)


def list_materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None, limit: int = 1000
) -> list[dg.AssetMaterialization]:
    """Materializations of an asset, or of one of its partitions, newest first."""
    records_filter = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    records = instance.fetch_materializations(records_filter, limit=limit).records
    return [r.asset_materialization for r in records if r.asset_materialization is not None]
