"""Weekly retraining: ingestion, then every motion, then the leaderboard, each of them once."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from pipelines.automation.retraining import RETRAINING_TAG, continue_runs, weekly_retraining
from pipelines.automation_config import AutomationConfig
from pipelines.resources import Settings
from pipelines.store.force import FORCE_TAG, is_forced

DAY = "2026-11-23"


@dg.op
def nothing() -> None: ...


def job_of(name: str) -> dg.JobDefinition:
    @dg.job(name=name)
    def stand_in() -> None:
        nothing()

    return stand_in


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("motion", ["gallop", "bounce"])
        yield instance


def report_run(instance: dg.DagsterInstance, job: str, status: DagsterRunStatus, **tags: str) -> None:
    instance.create_run_for_job(job_of(job), status=status, tags={RETRAINING_TAG: DAY, **tags})


def next_runs(instance: dg.DagsterInstance, now: float | None = None) -> list[tuple[str, str | None]] | str:
    """Job and partition of the requested runs, or why there are none."""
    results = list(continue_runs(instance, now or time.time()))
    if isinstance(results[0], dg.SkipReason):
        return str(results[0].skip_message)
    assert all(result.tags[RETRAINING_TAG] == DAY for result in results)
    return [(str(result.job_name), result.partition_key) for result in results]


def test_it_goes_on_from_what_has_run(instance: dg.DagsterInstance) -> None:
    assert "no retraining" in next_runs(instance)
    report_run(instance, "ingest", DagsterRunStatus.SUCCESS)
    assert next_runs(instance) == [("process_motion", "bounce"), ("process_motion", "gallop")]
    report_run(instance, "process_motion", DagsterRunStatus.FAILURE, **{"dagster/partition": "bounce"})
    assert next_runs(instance) == [("process_motion", "gallop")], "a failed motion does not stop the others"
    report_run(instance, "process_motion", DagsterRunStatus.STARTED, **{"dagster/partition": "gallop"})
    assert next_runs(instance) == "waiting for gallop"
    (record,) = instance.get_run_records(dg.RunsFilter(tags={"dagster/partition": "gallop"}))
    instance.report_run_canceled(record.dagster_run)
    assert next_runs(instance) == [("update_leaderboard", None)]
    report_run(instance, "update_leaderboard", DagsterRunStatus.STARTED)
    assert next_runs(instance) == f"the retraining of {DAY} is done"


@pytest.mark.parametrize(
    ("status", "words"), [(DagsterRunStatus.STARTED, "is going on"), (DagsterRunStatus.FAILURE, "failed")]
)
def test_motions_wait_for_the_ingestion(instance: dg.DagsterInstance, status: DagsterRunStatus, words: str) -> None:
    report_run(instance, "ingest", status)
    assert words in next_runs(instance)


def test_an_old_retraining_and_other_ingestions_are_left_alone(instance: dg.DagsterInstance) -> None:
    instance.create_run_for_job(job_of("ingest"), status=DagsterRunStatus.SUCCESS)
    assert "no retraining" in next_runs(instance)
    report_run(instance, "ingest", DagsterRunStatus.SUCCESS)
    assert "no retraining" in next_runs(instance, time.time() + 7 * 86_400)


def test_a_retired_motion_is_passed_by(instance: dg.DagsterInstance) -> None:
    instance.delete_dynamic_partition("motion", "bounce")
    report_run(instance, "ingest", DagsterRunStatus.SUCCESS)
    assert next_runs(instance) == [("process_motion", "gallop")]


@pytest.mark.parametrize("force", [False, True])
def test_the_schedule_begins_with_the_ingestion_and_passes_force_on(
    instance: dg.DagsterInstance, tmp_path: Path, force: bool
) -> None:
    monday = datetime.datetime(2026, 11, 23, 3, tzinfo=datetime.UTC)
    sections = {"automation": {"force": force}}
    settings = Settings(home=str(tmp_path), clips=str(tmp_path), sections=sections)
    schedule = weekly_retraining(dg.DefaultScheduleStatus.STOPPED, AutomationConfig())
    context = dg.build_schedule_context(scheduled_execution_time=monday, resources={"settings": settings})
    request = schedule(context)
    assert isinstance(request, dg.RunRequest) and request.run_key == f"retraining-{DAY}"
    assert schedule.job_name == "ingest" and (FORCE_TAG in request.tags) == force
    report_run(instance, "ingest", DagsterRunStatus.SUCCESS, **request.tags)
    requests = [request for request in continue_runs(instance, time.time()) if isinstance(request, dg.RunRequest)]
    forced = {is_forced(SimpleNamespace(run=SimpleNamespace(tags=request.tags))) for request in requests}
    assert forced == {force}
