"""What takes long is built only if somebody chooses it alone; what depends on it goes on without it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from pipelines import jobs
from pipelines.assets.decorator import mvmodel_asset
from pipelines.assets.experiments import EXPERIMENT_NAMES, RUNS
from pipelines.assets.on_demand import Build, is_chosen_alone, not_built, step_if_asked
from pipelines.definitions import EXPERIMENT_ASSETS
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.io_manager import HandleIOManager

BUILT: list[str] = []


def build_named(name: str) -> Build:
    def build(folder: Path) -> None:
        BUILT.append(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "file.txt").write_text(name)

    return build


@mvmodel_asset("experiments", "html", code_version="1")
def slow_experiment(context: dg.AssetExecutionContext, store: ArtifactStore) -> Any:
    def step(build: Build) -> Any:
        return store.step(context, {}, {}, build)

    is_asked = is_chosen_alone(context, ["slow_experiment"])
    return step_if_asked(step, build_named("slow_experiment"), is_asked) or not_built()


@mvmodel_asset("reports", "html", deps=["slow_experiment"], code_version="1")
def report(context: dg.AssetExecutionContext, store: ArtifactStore) -> Any:
    return store.step(context, {}, {}, build_named("report"))


def materialize(instance: dg.DagsterInstance, folder: Path, selection: str | list[str] = "*") -> set[str]:
    """The assets that a run recorded."""
    store = ArtifactStore(root=str(folder / "store"), work=str(folder / "work"))
    result = dg.materialize(
        [slow_experiment, report],
        instance=instance,
        resources={"store": store, "handles": HandleIOManager(store=store)},
        selection=selection,
    )
    assert result.success
    return {event.asset_key.path[-1] for event in result.get_asset_materialization_events() if event.asset_key}


def test_it_is_built_only_if_it_is_chosen_alone(tmp_path: Path) -> None:
    BUILT.clear()
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize(instance, tmp_path) == {"report"} and BUILT == ["report"]
        assert materialize(instance, tmp_path, ["slow_experiment"]) == {"slow_experiment"}
        assert materialize(instance, tmp_path) == {"slow_experiment", "report"}, "what is stored is shown as usual"
        assert BUILT == ["report", "slow_experiment"]


@pytest.mark.parametrize(
    ("run", "backfill", "is_alone"),
    [
        (["mask_robustness"], None, True),
        (["mask_robustness", "ablation_study", "zero_shot_motion"], None, True),
        (["mask_robustness", "motion_adapter"], None, False),
        (["zero_shot_motion"], ["zero_shot_motion", "clips"], False),
        (["zero_shot_motion"], ["zero_shot_motion", "ablation_study"], True),
    ],
)
def test_what_was_chosen_for_a_backfill_counts(run: list[str], backfill: list[str] | None, is_alone: bool) -> None:
    """ "Materialize all" of motions becomes a backfill, in which zero_shot_motion is a run of its own."""

    def keys(names: list[str]) -> list[dg.AssetKey]:
        return [dg.AssetKey(name) for name in names]

    context: Any = SimpleNamespace(
        run=SimpleNamespace(
            tags={} if backfill is None else {"dagster/backfill": "abc"}, asset_selection=frozenset(keys(run))
        ),
        instance=SimpleNamespace(get_backfill=lambda _: SimpleNamespace(asset_selection=keys(backfill or []))),
    )
    assert is_chosen_alone(context, EXPERIMENT_NAMES) is is_alone


def test_every_experiment_says_when_it_runs_and_its_job_is_there() -> None:
    assert {asset.key.to_user_string() for asset in EXPERIMENT_ASSETS} == set(EXPERIMENT_NAMES)
    chosen_by_jobs = {
        RUNS.format(job=job.name): job.selection.selected_keys for job in (jobs.experiments_job, jobs.zero_shot_job)
    }
    for asset in EXPERIMENT_ASSETS:
        (spec,) = asset.specs
        runs = spec.metadata["runs"]
        assert spec.key in chosen_by_jobs[runs] and spec.description and runs[1:] in spec.description
