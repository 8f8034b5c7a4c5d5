"""Weekly retraining: a schedule ingests, and a sensor goes on with every motion and then the leaderboard.

Runs of one retraining share a tag with its day, from which the sensor reads how far it is; it keeps no other state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import dagster as dg

from pipelines import jobs
from pipelines.automation_config import AutomationConfig
from pipelines.driver.repair import FINISHED
from pipelines.partitions import motions
from pipelines.resources import Settings
from pipelines.store.force import FORCE_TAG

RETRAINING_TAG = "mvmodel/retraining"
"""Day of the retraining that a run belongs to."""
MAX_AGE = 6 * 86_400.0
"""Seconds after its ingestion from which a retraining is not continued any more."""


def weekly_retraining(status: dg.DefaultScheduleStatus, config: AutomationConfig) -> dg.ScheduleDefinition:
    """The schedule."""

    @dg.schedule(
        name="weekly_retraining",
        job=jobs.ingest_job,
        cron_schedule=config.retraining,
        execution_timezone=config.time_zone,
        default_status=status,
        description="Ingests; the sensor continue_retraining then processes every motion and updates the leaderboard. "
        "Unchanged results are reused, unless automation.force is set.",
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
        description="After the ingestion of a weekly retraining, processes every motion, then updates the leaderboard.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        yield from continue_runs(context.instance, time.time())

    return evaluate


def continue_runs(instance: dg.DagsterInstance, now: float) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """The runs that the latest retraining needs next, or why there are none."""
    ingestion = _find_ingestion(instance, now)
    if ingestion is None:
        yield dg.SkipReason("no retraining is going on")
        return
    day = ingestion.tags[RETRAINING_TAG]
    if ingestion.status != dg.DagsterRunStatus.SUCCESS:
        ended = ingestion.status in FINISHED
        yield dg.SkipReason(f"the ingestion of {day} {'failed' if ended else 'is going on'}")
        return
    runs = [record.dagster_run for record in instance.get_run_records(dg.RunsFilter(tags={RETRAINING_TAG: day}))]
    if any(run.job_name == jobs.leaderboard_job.name for run in runs):
        yield dg.SkipReason(f"the retraining of {day} is done")
        return
    tags = {name: value for name, value in ingestion.tags.items() if name in (RETRAINING_TAG, FORCE_TAG)}
    by_motion = {run.tags["dagster/partition"]: run for run in runs if run.job_name == jobs.motion_job.name}
    names = sorted(instance.get_dynamic_partitions(str(motions.name)))
    if missing_motions := [name for name in names if name not in by_motion]:
        for name in missing_motions:
            run_key, job = f"{name}-{day}", jobs.motion_job.name
            yield dg.RunRequest(run_key=run_key, job_name=job, partition_key=name, tags=tags)
    elif unfinished := [name for name, run in by_motion.items() if run.status not in FINISHED]:
        yield dg.SkipReason(f"waiting for {', '.join(sorted(unfinished))}")
    else:
        yield dg.RunRequest(run_key=f"leaderboard-{day}", job_name=jobs.leaderboard_job.name, tags=tags)


def _find_ingestion(instance: dg.DagsterInstance, now: float) -> dg.DagsterRun | None:
    """The latest ingestion that a retraining began with, unless it is too old to go on from."""
    for record in instance.get_run_records(dg.RunsFilter(job_name=jobs.ingest_job.name), limit=200):
        if record.create_timestamp.timestamp() < now - MAX_AGE:
            return None
        if RETRAINING_TAG in record.dagster_run.tags:
            return record.dagster_run
    return None
