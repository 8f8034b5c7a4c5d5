"""The condition on the assets of motions, by evaluated ticks, and what is on by itself."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster import AssetMaterialization as Event
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from pipelines.definitions import build_defs

INGESTED = ("raw_clips", "clips", "foreground_masks", "motion_descriptors", "motion_groups")


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_defs(home=tmp_path_factory.mktemp("home"), sections={})


@pytest.fixture
def instance() -> dg.DagsterInstance:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class Ticks:
    """Evaluates the conditions tick by tick, and materialises by hand what a daemon would have run."""

    def __init__(
        self,
        defs: dg.Definitions,
        instance: dg.DagsterInstance,
        selection: dg.AssetSelection = dg.AssetSelection.all(),
    ) -> None:
        """selection: the assets whose conditions are evaluated."""
        self.defs, self.instance, self.cursor, self.selection = defs, instance, None, selection
        nodes = defs.resolve_asset_graph()
        self.code = {key.path[-1]: nodes.get(key).code_version for key in nodes.get_all_asset_keys()}

    def report_materialization(self, asset: str, version: str, partition: str | None = None) -> None:
        tags = {"dagster/data_version": version, "dagster/code_version": str(self.code[asset])}
        self.instance.report_runless_asset_event(Event(asset, partition=partition, tags=tags))

    def report_check(self, asset: str, check: str, passed: bool, partition: str | None = None) -> None:
        """Record a check's verdict on the latest materialisation, as a run would."""
        partitions = [partition] if partition else None
        records_filter = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=partitions)
        record = self.instance.fetch_materializations(records_filter, limit=1).records[0]
        evaluation = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(asset),
            check_name=check,
            passed=passed,
            blocking=True,
            partition=partition,
            target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
                storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
            ),
        )
        self.instance.report_runless_asset_event(evaluation)

    def report_ingestion(self, version: str = "1", *motions: str) -> None:
        for asset in INGESTED:
            self.report_materialization(asset, version)
        self.report_check("clips", "has_usable_clips", True)
        self.instance.add_dynamic_partitions("motion", list(motions))

    def tick(self) -> dict[str, set[str | None]]:
        """Asset -> partitions that are requested."""
        result = dg.evaluate_automation_conditions(self.defs, self.instance, self.selection, cursor=self.cursor)
        self.cursor = result.cursor
        requested_partitions: dict[str, set[str | None]] = {}
        for evaluation in result.results:
            keys = [part.partition_key for part in evaluation.true_subset.expensively_compute_asset_partitions()]
            if keys:
                requested_partitions[evaluation.key.path[-1]] = set(keys)
        return requested_partitions


def test_motions_that_were_there_before_the_sensor_are_built_too(defs: dg.Definitions, instance) -> None:
    ticks = Ticks(defs, instance)
    ticks.report_ingestion("1", "gallop", "bounce")
    assert ticks.tick().get("training_set") == {"gallop", "bounce"}


def test_nothing_is_asked_for_before_there_are_groups(defs: dg.Definitions, instance) -> None:
    assert Ticks(defs, instance).tick() == {}


def test_a_new_motion_alone_is_asked_for(defs: dg.Definitions, instance) -> None:
    ticks = Ticks(defs, instance)
    ticks.report_ingestion("1", "gallop")
    ticks.tick()
    ticks.report_materialization("training_set", "g1", "gallop")
    ticks.tick()
    ticks.report_ingestion("1", "bounce")
    assert ticks.tick().get("training_set") == {"bounce"}


def test_a_parent_run_again_with_the_same_content_asks_for_nothing(defs: dg.Definitions, instance) -> None:
    ticks = Ticks(defs, instance)
    ticks.report_ingestion("1", "gallop")
    ticks.report_materialization("training_set", "g1", "gallop")
    ticks.report_materialization("motion_adapter", "a1", "gallop")
    ticks.tick()
    ticks.report_ingestion("1")
    ticks.report_materialization("training_set", "g1", "gallop")
    assert {"training_set", "motion_adapter"} & ticks.tick().keys() == set()


def test_new_content_of_a_parent_asks_for_its_children_only(defs: dg.Definitions, instance) -> None:
    ticks = Ticks(defs, instance)
    ticks.report_ingestion("1", "gallop", "bounce")
    for motion in ("gallop", "bounce"):
        ticks.report_materialization("training_set", "s1", motion)
        ticks.report_materialization("motion_adapter", "a1", motion)
        ticks.report_materialization("adapter_evaluation", "e1", motion)
    ticks.tick()
    ticks.report_materialization("training_set", "s2", "gallop")
    requested = ticks.tick()
    assert requested.get("motion_adapter") == {"gallop"}
    assert "training_set" not in requested
    assert "motion_adapter" not in ticks.tick(), "asked for once"


def test_a_failure_is_not_asked_for_again_until_an_input_changes(defs: dg.Definitions, instance) -> None:
    ticks = Ticks(defs, instance)
    ticks.report_ingestion("1", "gallop")
    assert ticks.tick()["training_set"] == {"gallop"}
    instance.report_run_failed(create_run(defs, instance, "training_set", "gallop"))
    assert [ticks.tick().get("training_set") for _ in range(3)] == [None, None, None]
    ticks.report_ingestion("2")
    assert ticks.tick().get("training_set") == {"gallop"}
    assert ticks.tick().get("training_set") is None


def create_run(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, motion: str) -> dg.DagsterRun:
    """A run that will materialize an asset, as the daemon creates it for a request."""
    job, keys = defs.resolve_job_def("process_motion"), frozenset({dg.AssetKey(asset)})
    return instance.create_run_for_job(job, tags={"dagster/partition": motion}, asset_selection=keys)


def test_what_has_just_ended_is_looked_at_twice(defs: dg.Definitions, instance) -> None:
    """Dagster may see that a run has ended before it sees what the run made. At that moment the records look as they
    look after a run that was canceled."""
    ticks = Ticks(defs, instance, dg.AssetSelection.assets("training_set"))
    ticks.report_ingestion("1", "gallop")
    assert ticks.tick()["training_set"] == {"gallop"}
    run = create_run(defs, instance, "training_set", "gallop")
    assert [ticks.tick() for _ in range(2)] == [{}, {}], "it is in progress"
    instance.report_run_canceled(run)
    assert ticks.tick() == {}
    assert ticks.tick()["training_set"] == {"gallop"}, "nothing came"


def test_an_adapter_that_failed_a_gate_is_not_promoted_and_others_are(defs: dg.Definitions, instance) -> None:
    ticks = Ticks(defs, instance)
    ticks.report_ingestion("1", "gallop", "bounce")
    for motion in ("gallop", "bounce"):
        ticks.report_materialization("training_set", "s1", motion)
        ticks.report_materialization("motion_adapter", "a1", motion)
        ticks.report_check("motion_adapter", "finite_loss", True, motion)
        ticks.report_materialization("adapter_evaluation", "e1", motion)
        for gate in ("iou_gate", "alignment_gate", "no_regression_gate"):
            ticks.report_check("adapter_evaluation", gate, (motion, gate) != ("gallop", "iou_gate"), motion)
    assert ticks.tick().get("promoted_adapter") == {"bounce"}


def test_nothing_starts_by_itself_until_it_is_turned_on(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    for sensor in repository.sensor_defs:
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED, sensor.name
    for schedule in repository.schedule_defs:
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED, schedule.name


def test_one_setting_turns_everything_on(tmp_path: Path) -> None:
    defs = build_defs(home=tmp_path, sections={"automation": {"enabled": True, "retraining": "0 5 * * 0"}})
    repository = defs.get_repository_def()
    assert {sensor.default_status for sensor in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}
    assert {schedule.default_status for schedule in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert repository.get_schedule_def("weekly_retraining").cron_schedule == "0 5 * * 0"


def test_what_the_weekly_retraining_always_runs_is_called_overdue_if_it_does_not(tmp_path: Path) -> None:
    def fresh(**automation: object) -> set[str]:
        graph = build_defs(home=tmp_path, sections={"automation": automation}).resolve_asset_graph()
        nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
        return {node.key.to_user_string() for node in nodes if node.freshness_policy is not None}

    assert fresh() == set() and fresh(enabled=True, freshness_days=0) == set()
    assert {"clips", "motion_groups", "leaderboard"} <= fresh(enabled=True)
    assert not fresh(enabled=True) & {"motion_adapter", "ablation_study", "tiny_pack", "raw_folder"}, (
        "they may be left as they are"
    )
