"""Which phases of a run need no Dagster run, because everything in them is up to date.

Dagster's records say whether the versions of data and code still match. Then the functions of the assets are called
outside of Dagster, with a store that finds versions but makes none: the code that decides in a step whether something
is computed decides here, too. If anything differs, the phase is run as usual.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContext
from dagster._core.storage.event_log.base import PartitionKeyFilter
from pydantic import BaseModel

from mvmodel.cache import Cache
from pipelines.assets.decorator import RUN_SETTINGS
from pipelines.assets.motion import compare_partitions, read_motion_groups
from pipelines.driver.phase import PhaseResult
from pipelines.driver.progress import step_timings
from pipelines.partitions import motions
from pipelines.store.artifact_store import ArtifactStore, Inputs, Recipe, version_metadata
from pipelines.store.materializations import latest_materialization, load_current, load_partitions
from pipelines.store.repeated_metadata import PICTURES_RUN, repeat_metadata
from pipelines.store.version_store import Handle, VersionStore

logger = logging.getLogger(__name__)
DIFFERS_BETWEEN_RUNS = (
    "computed",
    "seconds",
    "step_seconds",
    "peak_memory_gb",
    "added_partitions",
    "retired_partitions",
    PICTURES_RUN,
)
"""Metadata that two runs of the same versions log with different values."""


class OutOfDate(Exception):
    """Something has to be computed or recorded; the message says what."""


def find_finished_phase(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    resources: Mapping[str, Any],
    job: str,
    partition: str | None = None,
    assets: Iterable[dg.AssetKey] | None = None,
) -> PhaseResult | None:
    """What running a job would record once more, or None if the run would compute or record anything new.

    assets: those of the job that count; None takes all. resources: of `build_resources`.
    """
    graph = defs.resolve_asset_graph()
    selection = set(defs.resolve_job_def(job).asset_layer.selected_asset_keys if assets is None else assets)
    keys = [key for key in graph.toposorted_asset_keys if key in selection]
    functions = {**resources, "store": StoredVersions(**resources["store"].model_dump())}
    result = PhaseResult()
    step_timings.forget_steps()
    try:
        _check_records(instance, graph, keys, partition)
        for key in keys:
            if graph.get(key).is_materializable:
                metadata = _check_asset(instance, functions, graph, key, partition)
                result.add_asset(key.path[-1], metadata, partition)
            else:
                _check_source(instance, functions, graph.assets_def_for_key(key), key)
    except Exception as error:  # whatever is wrong, the run says it properly
        logger.info("%s is run: %s: %s", job, type(error).__name__, error)
        return None
    return result


class StoredVersions(ArtifactStore):
    """The store of assets that must not compute anything: what is not stored raises `OutOfDate`."""

    @property
    def store(self) -> VersionStore:
        """The store, whose cache of work items makes nothing either."""
        store = super().store
        store.cache = _StoredItems(store.cache)
        return store

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
        """What `ArtifactStore.step` returns for a version that is stored, whole, and the latest one in the records."""
        recipe, store = Recipe.of_step(context, inputs, config, pack), self.store
        version = None if rebuild else store.find(**recipe.key, recipe=recipe.hash)
        if version is None:
            raise OutOfDate(f"{recipe.key} has to be computed")
        handle = store.open(**recipe.key, sha=version.sha, recipe=recipe.hash)
        metadata = repeat_metadata(context.instance, handle)
        if metadata is None:
            raise OutOfDate(f"{handle.key} is stored, but is not the version in use")
        return dg.MaterializeResult(
            value=handle,
            data_version=dg.DataVersion(version.sha),
            metadata={**metadata, **version_metadata(handle, version, False, 0.0, recipe.inputs)},
        )


class _StoredItems(Cache):
    """A cache that finds what another one has, and makes nothing."""

    def __init__(self, cache: Cache) -> None:
        super().__init__(cache.folder)
        self._cache = cache

    def get_or_build(self, kind: str, recipe: str, build: Callable[[Path], Any]) -> Path:
        """The folder of a result. Raises OutOfDate if there is none."""

        def refuse(folder: Path) -> None:
            raise OutOfDate(f"{kind} {recipe} has to be computed")

        return self._cache.get_or_build(kind, recipe, refuse)


@dataclass(frozen=True)
class _StepContext:
    """What functions of assets use of the context of a step."""

    instance: dg.DagsterInstance
    assets_def: dg.AssetsDefinition
    asset_key: dg.AssetKey
    partition_key: str | None
    log: logging.Logger = logger

    @property
    def run(self) -> Any:
        return SimpleNamespace(tags={})

    @property
    def op_execution_context(self) -> Any:
        return SimpleNamespace(op_config={})

    @property
    def has_partition_key(self) -> bool:
        return self.partition_key is not None


class _Records(LoadingContext):
    """What Dagster's resolver of stale assets reads the records through."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance, self._loaders = instance, dict[type, Any]()

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict[type, Any]:
        return self._loaders


def _check_records(
    instance: dg.DagsterInstance, graph: AssetGraph, keys: Sequence[dg.AssetKey], partition: str | None
) -> None:
    """Raise OutOfDate if Dagster calls any of the assets missing or stale."""
    resolver = CachingStaleStatusResolver(instance, graph, _Records(instance))
    for key in keys:
        node = graph.get(key)
        status = resolver.get_status(key, partition if node.is_partitioned else None)
        if node.is_materializable and status != StaleStatus.FRESH:
            raise OutOfDate(f"{key.to_user_string()} is {status.value.lower()}")


def _check_source(
    instance: dg.DagsterInstance, resources: Mapping[str, Any], asset: dg.AssetsDefinition, key: dg.AssetKey
) -> None:
    """Raise OutOfDate if an asset that is observed has changed since it was observed last."""
    function = _function_of(asset)
    states = {result.data_version for result in function(settings=resources["settings"])}
    records = instance.fetch_observations(key, limit=1).records
    event = records[0].asset_observation if records else None
    recorded_state = event.data_version if event is not None else None
    if states != {dg.DataVersion(recorded_state or "")}:
        raise OutOfDate(f"{key.to_user_string()} has changed")


def _check_asset(
    instance: dg.DagsterInstance,
    resources: Mapping[str, Any],
    graph: AssetGraph,
    key: dg.AssetKey,
    partition: str | None,
) -> dict[str, Any]:
    """The metadata that a run would log for an asset, as plain values. Raises OutOfDate if it would log something new,
    and what the asset's function raises."""
    asset = graph.assets_def_for_key(key)
    partition = partition if asset.partitions_def is not None else None
    store: VersionStore = resources["store"].store
    if key.path[-1] == "motion_groups":  # its function would change the partitions, which a step has to record
        groups = read_motion_groups(load_current(instance, store, key).folder)
        if any(compare_partitions(instance, sorted(groups["motions"]))):
            raise OutOfDate("the partitions are not those of the groups")
    function = _function_of(asset)
    context = _StepContext(instance, asset, key, partition)
    names = {name: resources[name] for name in asset.required_resource_keys if name in function.__annotations__}
    result = function(context, **_load_inputs(instance, store, graph, asset, partition), **names)
    event = latest_materialization(instance, key, partition)
    assert event is not None  # it would be stale
    metadata = dg.AssetMaterialization(key, metadata=result.metadata).metadata
    logged = {name: value for name, value in event.metadata.items() if name in metadata or name == RUN_SETTINGS}
    if _without(logged, DIFFERS_BETWEEN_RUNS) != _without(metadata, DIFFERS_BETWEEN_RUNS):
        raise OutOfDate(f"the metadata of {key.to_user_string()} has changed")
    if str(event.metadata["sha256"].value) != result.data_version.value:
        raise OutOfDate(f"{key.to_user_string()} is of another version")
    blocking = [spec.name for spec in asset.check_specs if spec.blocking]
    _compare_checks(instance, key, partition, result.check_results or (), blocking)
    return {name: entry.value for name, entry in {**event.metadata, **metadata}.items()}


def _function_of(asset: dg.AssetsDefinition) -> Callable[..., Any]:
    function: Callable[..., Any] = asset.op.compute_fn.decorated_fn  # type: ignore[union-attr]
    return function


def _without(entries: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if name not in names}


def _load_inputs(
    instance: dg.DagsterInstance,
    store: VersionStore,
    graph: AssetGraph,
    asset: dg.AssetsDefinition,
    partition: str | None,
) -> dict[str, Handle | dict[str, Handle]]:
    """What a step would be given: a handle for each input, or one for each of its partitions."""
    inputs: dict[str, Handle | dict[str, Handle]] = {}
    for definition in asset.node_def.input_defs:
        key = asset.keys_by_input_name[definition.name]
        if definition.dagster_type.is_nothing:
            continue
        if not graph.get(key).is_partitioned:
            inputs[definition.name] = load_current(instance, store, key)
        elif partition is not None:
            inputs[definition.name] = load_current(instance, store, key, partition)
        else:
            names = instance.get_dynamic_partitions(str(motions.name))
            inputs[definition.name] = load_partitions(instance, store, key, names)
    return inputs


def _compare_checks(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partition: str | None,
    results: Sequence[dg.AssetCheckResult],
    blocking: Collection[str],
) -> None:
    """Raise OutOfDate if a check has another result than the one in the records, or a blocking one does not pass."""
    checks = [dg.AssetCheckKey(key, str(result.check_name)) for result in results]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        checks, PartitionKeyFilter(key=partition)
    )
    for check, result in zip(checks, results, strict=True):
        event = records[check].event if check in records else None
        evaluation = event.dagster_event.asset_check_evaluation_data if event and event.dagster_event else None
        if evaluation is None or (not result.passed and check.name in blocking):
            raise OutOfDate(f"the check {check.name} has no result, or stops the run")
        recorded = (evaluation.passed, evaluation.description, dict(evaluation.metadata))
        if recorded != (result.passed, result.description, dict(result.metadata or {})):
            raise OutOfDate(f"the check {check.name} has another result")
