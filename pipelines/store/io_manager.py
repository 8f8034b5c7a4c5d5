"""The IO manager of handles: assets pass versions of the store to each other, never their contents."""

from __future__ import annotations

import dagster as dg

from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.materializations import load_current
from pipelines.store.version_store import Handle


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
            return load_current(context.instance, self.store.store, key)
        if context.has_partition_key:
            return load_current(context.instance, self.store.store, key, context.asset_partition_key)
        known = context.instance.get_materialized_partitions(key)
        return {
            k: load_current(context.instance, self.store.store, key, k)
            for k in context.asset_partition_keys
            if k in known
        }
