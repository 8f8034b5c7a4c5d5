"""The IO manager of handles: assets pass references to stored versions to each other, never their contents."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.materializations import load_current, load_partitions
from pipelines.store.version_store import Handle

NOT_BUILT = object()
"""Output of an asset that was not built: see `pipelines.assets.on_demand.not_built`."""


class HandleIOManager(dg.ConfigurableIOManager):
    """Loads handles on the current versions. The event log says which ones; the store verifies their files."""

    store: ArtifactStore

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Check that the asset returned what `ArtifactStore.step` made; the files are stored already."""
        if obj is not NOT_BUILT and not isinstance(obj, Handle):
            raise dg.Failure(
                f"{context.asset_key.to_user_string()} returned {type(obj).__name__}, not a handle", allow_retries=False
            )

    def load_input(self, context: dg.InputContext) -> Handle | dict[str, Handle]:
        """The upstream asset's current version, or {partition: handle} if the asset reads all its partitions."""
        key, instance, store = context.asset_key, context.instance, self.store.store
        if not context.has_asset_partitions:
            return load_current(instance, store, key)
        if context.has_partition_key:
            return load_current(instance, store, key, context.asset_partition_key)
        return load_partitions(instance, store, key, context.asset_partition_keys)
