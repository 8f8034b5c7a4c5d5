"""Metadata of a result that is the same as last time: numbers are logged again, pictures and tables are not.

Dagster stores metadata several times per event. Without this, a run in which nothing changed would add megabytes of the
same pictures to its records.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster_shared.serdes import serialize_value

from pipelines.store.version_store import Handle

PICTURES_RUN = "pictures_in"
"""Metadata entry: the run whose event has the pictures and tables that this one leaves out."""
MAX_REPEATED_BYTES = 1000
"""Entries that are larger, as Dagster stores them, are not logged again."""


def repeat_metadata(instance: dg.DagsterInstance, handle: Handle) -> dict[str, Any] | None:
    """The small entries of the latest materialization, if that was the same version at the same place; else None."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(handle.asset), asset_partitions=[handle.partition] if handle.partition else None
        ),
        limit=1,
    ).records
    event = records[0].asset_materialization if records else None
    if event is None:
        return None
    logged = {name: entry.value for name, entry in event.metadata.items() if name in ("sha256", "recipe", "path")}
    if logged != {"sha256": handle.sha, "recipe": handle.recipe, "path": str(handle.folder)}:
        return None
    entries: dict[str, Any] = dict(event.metadata)
    small = {name: v for name, v in entries.items() if len(serialize_value(v)) <= MAX_REPEATED_BYTES}
    if len(small) < len(event.metadata) and PICTURES_RUN not in small:
        small[PICTURES_RUN] = dg.MetadataValue.dagster_run(records[0].run_id)
    return small
