"""Assets that take hours to build, and are built only if somebody asks for them: not by "Materialize all" in the UI."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.storage.tags import BACKFILL_ID_TAG

from pipelines.store.io_manager import NOT_BUILT
from pipelines.store.version_store import Handle

Build = Callable[[Path], None]


class NotAsked(Exception):
    """Something would have to be built, and nobody has asked for it."""


def step_if_asked(
    step: Callable[[Build], dg.MaterializeResult[Handle]], build: Build, is_asked: bool
) -> dg.MaterializeResult[Handle] | None:
    """What a step returns; None if it would have to build something and nobody has asked for that.

    step: calls `ArtifactStore.step` with the function that it is given. What is stored already is not built.
    """

    def build_if_asked(folder: Path) -> None:
        if not is_asked:
            raise NotAsked
        build(folder)

    try:
        return step(build_if_asked)
    except NotAsked:
        return None


def is_chosen_alone(context: dg.AssetExecutionContext, names: Collection[str]) -> bool:
    """Whether whoever started the run chose some of these assets, and no other assets with them.

    Dagster divides a backfill into runs; what was chosen for the backfill counts, not what each run makes of it.
    """
    backfill_id = context.run.tags.get(BACKFILL_ID_TAG)
    backfill = context.instance.get_backfill(backfill_id) if backfill_id else None
    selection: Any = backfill.asset_selection if backfill is not None else None
    selection = selection or context.run.asset_selection or context.job_def.asset_layer.selected_asset_keys
    return {key.path[-1] for key in selection} <= set(names)


def not_built() -> dg.Output[object]:
    """The output of an asset that was not built. Nothing is recorded for the asset, and what depends on it goes on.

    Without an output, Dagster would skip what is downstream; with a usual one, it would record a materialization. It
    records none for an output with the entry that it gives to those of observable source assets.
    """
    return dg.Output(NOT_BUILT, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
