"""Weekly retraining: ingestion, then every motion, then the leaderboard, each of them once."""

from __future__ import annotations

import datetime
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from pipelines.automation import finished_motions
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
    result = continue_runs(instance, now or time.time())
    if result.skip_reason is not None:
        return str(result.skip_reason.skip_message)
    assert result.run_requests and all(request.tags[RETRAINING_TAG] == DAY for request in result.run_requests)
    return [(str(request.job_name), request.partition_key) for request in result.run_requests]


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


def test_motions_that_are_up_to_date_get_no_run(instance: dg.DagsterInstance) -> None:
    report_run(instance, "ingest", DagsterRunStatus.SUCCESS)
    questions: list[list[str]] = []

    def find_finished(_: dg.DagsterInstance, names: Sequence[str]) -> dict[str, bool]:
        questions.append(list(names))
        return {"bounce": True}  # there was no time for gallop

    def tick(cursor: str | None) -> dg.SensorResult:
        return continue_runs(instance, time.time(), cursor, find_finished)

    first = tick(json.dumps({"day": "2026-11-16", "up_to_date": ["bounce", "gallop"]}))
    assert str(first.skip_reason and first.skip_reason.skip_message) == (
        "no run is needed, because nothing has changed: bounce"
    )
    assert questions == [["bounce", "gallop"]], "what was up to date a week ago counts for nothing"
    cursor = json.dumps({**json.loads(first.cursor or ""), "up_to_date": ["bounce", "gallop"]})
    second = tick(cursor)
    assert second.run_requests and [request.job_name for request in second.run_requests] == ["update_leaderboard"]
    assert len(questions) == 1 and second.cursor == cursor


@pytest.mark.parametrize(
    ("output", "answers"),
    [
        (b'["bounce", true]\n["gal', {"bounce": True}),
        (None, {"bounce": False, "gallop": False}),
    ],
)
def test_answers_that_come_too_late_are_done_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: bytes | None, answers: dict[str, bool]
) -> None:
    """tests/pipelines/driver/test_run.py asks a real process."""

    def take_too_long(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("python", timeout, output)

    monkeypatch.setattr(finished_motions.subprocess, "run", take_too_long)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert finished_motions.find_finished_motions(instance, ["bounce", "gallop"]) == answers


def test_an_instance_that_no_other_process_can_read_has_no_finished_motions(instance: dg.DagsterInstance) -> None:
    assert finished_motions.find_finished_motions(instance, ["gallop"]) == {"gallop": False}


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
    requests = continue_runs(instance, time.time(), None, lambda *_: {"bounce": force, "gallop": False}).run_requests
    assert requests and [request.partition_key for request in requests] == ["bounce", "gallop"], "force runs all"
    forced = {is_forced(SimpleNamespace(run=SimpleNamespace(tags=request.tags))) for request in requests}
    assert forced == {force}
