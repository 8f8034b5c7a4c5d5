"""Weekly retraining: a schedule ingests, and a sensor goes on with every motion and then the leaderboard.

Runs of one retraining share a tag with its day, from which the sensor reads how far it is. Motions in which everything
is up to date get no run, unless `automation.force` is set; the sensor's cursor holds their names.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

import dagster as dg

from pipelines import jobs
from pipelines.automation.finished_motions import find_finished_motions
from pipelines.automation_config import AutomationConfig
from pipelines.driver.repair import FINISHED
from pipelines.partitions import motions
from pipelines.resources import Settings
from pipelines.store.force import FORCE_TAG

RETRAINING_TAG = "mvmodel/retraining"
"""Day of the retraining that a run belongs to."""
FindFinished = Callable[[dg.DagsterInstance, Sequence[str]], dict[str, bool]]
MAX_AGE = 6 * 86_400.0
"""Seconds after its ingestion from which a retraining is not continued any more."""


def weekly_retraining(status: dg.DefaultScheduleStatus, config: AutomationConfig) -> dg.ScheduleDefinition:
    """The schedule."""

    @dg.schedule(
        name="weekly_retraining",
        job_name=jobs.INGEST_JOB,
        cron_schedule=config.retraining,
        execution_timezone=config.time_zone,
        default_status=status,
        description="Ingests; the sensor continue_retraining then processes the motions and updates the leaderboard. "
        "Motions in which everything is up to date get no run, unless automation.force is set.",
    )
    def evaluate(context: dg.ScheduleEvaluationContext, settings: Settings) -> dg.RunRequest:
        day = context.scheduled_execution_time.date().isoformat()
        force = settings.read("automation", AutomationConfig).force
        tags = {RETRAINING_TAG: day, **({FORCE_TAG: "true"} if force else {})}
        return dg.RunRequest(run_key=f"retraining-{day}", tags=tags)

    return evaluate


def continue_retraining(status: dg.DefaultSensorStatus, config: AutomationConfig) -> dg.SensorDefinition:
    """The sensor."""

    @dg.sensor(
        name="continue_retraining",
        jobs=[jobs.motion_job, jobs.leaderboard_job],
        minimum_interval_seconds=config.interval_s,
        default_status=status,
        description="After the ingestion of a weekly retraining, processes every motion in which something is out of "
        "date, then updates the leaderboard.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return continue_runs(context.instance, time.time(), context.cursor)

    return evaluate


def continue_runs(
    instance: dg.DagsterInstance, now: float, cursor: str | None = None, find_finished: FindFinished | None = None
) -> dg.SensorResult:
    """The runs that the latest retraining needs next, or why there are none.

    cursor: JSON with the day of a retraining, and the motions that were up to date in it. find_finished: as
    `find_finished_motions`.
    """
    ingestion = _find_ingestion(instance, now)
    if ingestion is None:
        return _wait("no retraining is going on", cursor)
    day = ingestion.tags[RETRAINING_TAG]
    if ingestion.status != dg.DagsterRunStatus.SUCCESS:
        ended = ingestion.status in FINISHED
        return _wait(f"the ingestion of {day} {'failed' if ended else 'is going on'}", cursor)
    runs = [record.dagster_run for record in instance.get_run_records(dg.RunsFilter(tags={RETRAINING_TAG: day}))]
    if any(run.job_name == jobs.leaderboard_job.name for run in runs):
        return _wait(f"the retraining of {day} is done", cursor)
    tags = {name: value for name, value in ingestion.tags.items() if name in (RETRAINING_TAG, FORCE_TAG)}
    by_motion = {run.tags["dagster/partition"]: run for run in runs if run.job_name == jobs.motion_job.name}
    finished = _read_cursor(cursor, day)
    names = sorted(instance.get_dynamic_partitions(str(motions.name)))
    if missing_motions := [name for name in names if name not in by_motion and name not in finished]:
        answers = dict.fromkeys(missing_motions, False)
        if FORCE_TAG not in tags:
            answers = (find_finished or find_finished_motions)(instance, missing_motions)
        finished += [name for name, is_finished in answers.items() if is_finished]
        cursor = json.dumps({"day": day, "up_to_date": finished})
        requests = [
            dg.RunRequest(run_key=f"{name}-{day}", job_name=jobs.motion_job.name, partition_key=name, tags=tags)
            for name, is_finished in answers.items()
            if not is_finished
        ]
        if not requests:
            return _wait(f"no run is needed, because nothing has changed: {', '.join(finished)}", cursor)
        return dg.SensorResult(run_requests=requests, cursor=cursor)
    if unfinished := [name for name, run in by_motion.items() if run.status not in FINISHED]:
        return _wait(f"waiting for {', '.join(sorted(unfinished))}", cursor)
    request = dg.RunRequest(run_key=f"leaderboard-{day}", job_name=jobs.leaderboard_job.name, tags=tags)
    return dg.SensorResult(run_requests=[request], cursor=cursor)


def _wait(reason: str, cursor: str | None) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=cursor)


def _read_cursor(cursor: str | None, day: str) -> list[str]:
    """The motions that were up to date in the retraining of a day."""
    values = json.loads(cursor) if cursor else {}
    return list(values["up_to_date"]) if values.get("day") == day else []


def _find_ingestion(instance: dg.DagsterInstance, now: float) -> dg.DagsterRun | None:
    """The latest ingestion that a retraining began with, unless it is too old to go on from."""
    for record in instance.get_run_records(dg.RunsFilter(job_name=jobs.INGEST_JOB), limit=200):
        if record.create_timestamp.timestamp() < now - MAX_AGE:
            return None
        if RETRAINING_TAG in record.dagster_run.tags:
            return record.dagster_run
    return None
