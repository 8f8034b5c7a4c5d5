"""What happens by itself, by evaluated ticks: the condition on the assets, the sensor, the schedule."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import dagster as dg
import pytest
from dagster import AssetMaterialization as Event
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from pipelines import automation
from pipelines.definitions import build_defs
from pipelines.resources import Settings

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

    def __init__(self, defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.defs, self.instance, self.cursor = defs, instance, None
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
        result = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.cursor)
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
    failed = instance.create_run_for_job(
        defs.resolve_job_def("process_motion"),
        tags={"dagster/partition": "gallop"},
        asset_selection=frozenset({dg.AssetKey("training_set")}),
    )
    instance.report_run_failed(failed)
    assert [ticks.tick().get("training_set") for _ in range(3)] == [None, None, None]
    ticks.report_ingestion("2")
    assert ticks.tick().get("training_set") == {"gallop"}
    assert ticks.tick().get("training_set") is None


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


# -- the sensor on new clips -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    return tmp_path / "clips"


def evaluate_sensor(folder: Path, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"settings": Settings(home=str(folder.parent), clips=str(folder))}
    )
    result = automation.new_clips(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_new_clips_are_ingested_once_and_only_when_they_stay_as_they_are(folder: Path, instance) -> None:
    first = evaluate_sensor(folder, instance)
    assert not first.run_requests and "empty" in str(first.skip_reason)
    (folder / "a.mp4").write_bytes(b"half")
    copying = evaluate_sensor(folder, instance, first.cursor)
    (folder / "a.mp4").write_bytes(b"half and half")
    still_copying = evaluate_sensor(folder, instance, copying.cursor)
    assert not copying.run_requests and not still_copying.run_requests, "a file that is being copied is not ingested"
    settled = evaluate_sensor(folder, instance, still_copying.cursor)
    assert [request.run_key for request in settled.run_requests] == [settled.run_requests[0].run_key]
    unchanged = evaluate_sensor(folder, instance, settled.cursor)
    assert not unchanged.run_requests
    (folder / "b.mp4").write_bytes(b"new")
    with_second_clip = evaluate_sensor(folder, instance, evaluate_sensor(folder, instance, unchanged.cursor).cursor)
    assert with_second_clip.run_requests and with_second_clip.run_requests[0].run_key != settled.run_requests[0].run_key
    assert json.loads(with_second_clip.cursor)["ingested"]


def test_a_missing_folder_is_said_and_does_not_fail(tmp_path: Path, instance) -> None:
    context = dg.build_sensor_context(
        instance=instance, resources={"settings": Settings(home=str(tmp_path), clips=str(tmp_path / "none"))}
    )
    assert isinstance(automation.new_clips(context), dg.SkipReason)


# -- the weekly schedule -----------------------------------------------------------------------------------------------


def test_every_motion_is_run_once_a_week(defs: dg.Definitions) -> None:
    monday = datetime.datetime(2026, 11, 23, 3, tzinfo=datetime.UTC)
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("motion", ["gallop", "bounce"])
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=monday, repository_def=defs.get_repository_def()
        )
        tick = automation.weekly_retraining.evaluate_tick(context)
    assert [(r.run_key, r.partition_key) for r in tick.run_requests] == [
        ("bounce-2026-11-23", "bounce"),
        ("gallop-2026-11-23", "gallop"),
    ]
    assert automation.weekly_retraining.cron_schedule == "0 3 * * 1"


def test_a_week_without_motions_is_skipped() -> None:
    now = datetime.datetime.now(datetime.UTC)
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=now)
        tick = automation.weekly_retraining.evaluate_tick(context)
    assert not tick.run_requests and "no motion" in str(tick.skip_message)


def test_nothing_starts_by_itself_until_it_is_turned_on(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    for sensor in repository.sensor_defs:
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED, sensor.name
    for schedule in repository.schedule_defs:
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED, schedule.name
