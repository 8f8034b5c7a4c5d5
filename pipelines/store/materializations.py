"""Dagster's event log, read for versions: which version of an asset is current, and which ones there were."""

from __future__ import annotations

import dagster as dg

from pipelines.store.version_store import BrokenVersion, Handle, VersionStore


def load_current(
    instance: dg.DagsterInstance, store: VersionStore, key: dg.AssetKey | str, partition: str | None = None
) -> Handle:
    """A handle on the version that the latest materialisation names. Raises dg.Failure naming the key and the path."""
    key = dg.AssetKey(key) if isinstance(key, str) else key
    named = key.to_user_string() + (f"[{partition}]" if partition else "")
    record = latest_materialization(instance, key, partition)
    if record is None:
        raise dg.Failure(f"{named} has never been materialised; do that first", allow_retries=False)
    sha, recipe = (str(record.metadata[name].value) for name in ("sha256", "recipe"))
    try:
        return store.open(key.path[-1], partition, sha, recipe)
    except BrokenVersion as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def latest_materialization(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None
) -> dg.AssetMaterialization | None:
    """The latest materialisation of an asset (of a partition)."""
    found = list_materializations(instance, key, partition, limit=1)
    return found[0] if found else None


def list_materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None, limit: int = 1000
) -> list[dg.AssetMaterialization]:
    """Materialisations of an asset (of a partition), newest first."""
    chosen = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    records = instance.fetch_materializations(chosen, limit=limit).records
    return [r.asset_materialization for r in records if r.asset_materialization is not None]
