"""A sensor that ingests whenever the folder of raw clips changed: files added, changed, renamed or removed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import dagster as dg
from dagster import DagsterRunStatus

from mvmodel.files import hash_value
from pipelines import jobs, raw_files
from pipelines.assets.ingestion import RAW_FOLDER
from pipelines.automation_config import AutomationConfig
from pipelines.resources import Settings

RUN_KEY_TAG = "dagster/run_key"
STOPPED = (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
LOST_AFTER = 300.0
"""Seconds after which a requested run that Dagster has no record of counts as failed."""


@dataclass(frozen=True)
class FolderCursor:
    """What the sensor knows of the folder.

    observed: the state seen last, and since when, in seconds since 1970. ingested: the state of the last request.
    run_key, requested: its run, and when it was requested. attempt: which one for this state. is_complete: whether it
    succeeded.
    """

    observed: str = ""
    since: float = 0.0
    ingested: str = ""
    run_key: str = ""
    requested: float = 0.0
    attempt: int = 0
    is_complete: bool = False

    @classmethod
    def parse(cls, text: str | None) -> FolderCursor:
        """The cursor of an earlier tick, possibly of an earlier release."""
        values = json.loads(text) if text else {}
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def new_clips(status: dg.DefaultSensorStatus, config: AutomationConfig) -> dg.SensorDefinition:
    """The sensor."""

    @dg.sensor(
        name="new_clips",
        job_name=jobs.INGEST_JOB,
        minimum_interval_seconds=config.interval_s,
        default_status=status,
        description="Ingests after the folder of raw clips changed and then stayed unchanged for one interval. Tries a "
        "failed ingestion again a few times.",
    )
    def evaluate(context: dg.SensorEvaluationContext, settings: Settings) -> dg.SensorResult:
        return evaluate_folder(
            context.instance,
            FolderCursor.parse(context.cursor),
            settings.raw_folder,
            settings.read("automation", AutomationConfig),
            time.time(),
        )

    return evaluate


def evaluate_folder(
    instance: dg.DagsterInstance, cursor: FolderCursor, folder: Path, config: AutomationConfig, now: float
) -> dg.SensorResult:
    """One tick. A file that is still being copied changes between ticks and delays the run.

    The state of the folder is cheap to see: names, sizes, times and file numbers. Contents are hashed by the run.
    """
    if not folder.is_dir():
        return _wait(cursor, f"the folder {folder} does not exist")
    stamps = raw_files.stamp_files(folder)
    if not stamps:
        sentence = f"{folder} is empty; earlier clips stay, because a disk that is not mounted looks the same"
        return _wait(replace(cursor, observed=""), sentence)
    state = hash_value(stamps)
    if state != cursor.observed:
        changed = replace(cursor, observed=state, since=now)
        observation = dg.AssetObservation(RAW_FOLDER, tags={"dagster/data_version": state})
        return dg.SensorResult(
            skip_reason=f"{len(stamps)} files; waiting until they stop changing",
            cursor=changed.to_json(),
            asset_events=[observation],
        )
    cursor, reason = _judge_last_run(instance, cursor, state, config, now)
    if reason:
        return _wait(cursor, reason)
    attempt = cursor.attempt + 1 if state == cursor.ingested else 1
    # The same files may be dropped, removed and dropped again: only the time makes each of these a run of its own. The
    # key depends on nothing but the cursor, so that a tick that is evaluated twice asks for one run.
    run_key = f"clips-{state[:12]}-{cursor.since:.3f}-{attempt}"
    requested = replace(cursor, ingested=state, run_key=run_key, requested=now, attempt=attempt, is_complete=False)
    tags = {"mvmodel/files": str(len(stamps)), "mvmodel/attempt": str(attempt)}
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key, tags=tags)], cursor=requested.to_json())


def _judge_last_run(
    instance: dg.DagsterInstance, cursor: FolderCursor, state: str, config: AutomationConfig, now: float
) -> tuple[FolderCursor, str]:
    """The cursor after looking at the last requested run, and why nothing is requested now; "" if something is."""
    if not cursor.run_key:
        return cursor, "nothing changed" if state == cursor.ingested else ""
    status, ended = _find_run(instance, cursor)
    is_lost = status is None and not cursor.is_complete and now > cursor.requested + LOST_AFTER
    if not (cursor.is_complete or is_lost or status in (*STOPPED, DagsterRunStatus.SUCCESS)):
        return cursor, "an ingestion is running"
    if status == DagsterRunStatus.SUCCESS:
        cursor = replace(cursor, is_complete=True)
    if state != cursor.ingested:
        return cursor, ""
    if cursor.is_complete:
        return cursor, "nothing changed"
    if cursor.attempt >= config.ingest_attempts:
        return cursor, f"the ingestion of these files failed {cursor.attempt} times; it waits until they change"
    wait = 60 * config.retry_minutes * 2 ** (cursor.attempt - 1)
    return (
        cursor,
        "" if now >= ended + wait else f"the ingestion failed; it is tried again in {ended + wait - now:.0f} s",
    )


def _find_run(instance: dg.DagsterInstance, cursor: FolderCursor) -> tuple[DagsterRunStatus | None, float]:
    """Status of the requested run and when it ended, in seconds since 1970; None if there is no record of it."""
    records = instance.get_run_records(dg.RunsFilter(tags={RUN_KEY_TAG: cursor.run_key}), limit=1)
    if not records:
        return None, cursor.requested
    return records[0].dagster_run.status, records[0].end_time or records[0].update_timestamp.timestamp()


def _wait(cursor: FolderCursor, reason: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=cursor.to_json())
