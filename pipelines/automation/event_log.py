"""Deletes old runs from Dagster's records, which otherwise grow for ever.

A run is kept as long as something refers to its events: the versions that `gc` keeps, every promoted adapter (for
`rollback`), every report (for the history in the leaderboard), and pictures that later runs did not log again.
"""

# Dagster does not take the text of an annotation for the type of an op's context: no `annotations` from __future__.
import contextlib
import shutil
import sqlite3
import time
from pathlib import Path

import dagster as dg

from pipelines.automation_config import AutomationConfig
from pipelines.driver.repair import FINISHED
from pipelines.jobs import NO_FORM
from pipelines.resources import Settings
from pipelines.store.gc import KEEP
from pipelines.store.repeated_metadata import PICTURES_RUN

HISTORY_ASSETS = ("promoted_adapter", "metric_report")
"""Assets whose earlier versions are all read: by `rollback`, and by the leaderboard."""
PAGE = 500


@dg.op(description="Deletes runs that are older than automation.event_log_days and that nothing refers to any more.")
def delete_old_runs(context: dg.OpExecutionContext, settings: Settings) -> None:
    """The one step of the job."""
    days = settings.read("automation", AutomationConfig).event_log_days
    deleted = purge_event_log(context.instance, days, time.time()) if days else []
    context.log.info(f"deleted {len(deleted)} runs older than {days} days" if days else "event_log_days is 0")


@dg.job(config=NO_FORM, description="Deletes old runs from Dagster's records. Stored results are not touched.")
def purge_old_runs() -> None:
    """The job."""
    delete_old_runs()


def event_log_retention(status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """The schedule: every night."""
    return dg.ScheduleDefinition(
        name="event_log_retention",
        job=purge_old_runs,
        cron_schedule="30 2 * * *",
        default_status=status,
        description="Every night, deletes runs older than automation.event_log_days that nothing refers to.",
    )


def purge_event_log(instance: dg.DagsterInstance, days: float, now: float) -> list[str]:
    """Delete what `find_old_runs` finds, with its captured output; returns the IDs of the runs."""
    old = find_old_runs(instance, days, now)
    for run_id in old:
        instance.delete_run(run_id)
        _delete_files(instance, run_id)
    if old:
        _compact(instance)
    return old


def find_old_runs(instance: dg.DagsterInstance, days: float, now: float, keep: int = KEEP) -> list[str]:
    """Ended runs older than `days` that nothing refers to any more."""
    needed = _find_needed_runs(instance, keep)
    old: list[str] = []
    cursor = None
    while records := instance.get_run_records(dg.RunsFilter(statuses=FINISHED), limit=PAGE, cursor=cursor):
        old += [
            record.dagster_run.run_id
            for record in records
            if (record.end_time or record.create_timestamp.timestamp()) < now - days * 86_400
        ]
        cursor = records[-1].dagster_run.run_id
    return [run_id for run_id in old if run_id not in needed]


def _find_needed_runs(instance: dg.DagsterInstance, keep: int) -> set[str]:
    """Runs whose events are read: the newest event of each version that counts, and where its pictures are."""
    needed: set[str] = set()
    for key in instance.all_asset_keys():
        versions: dict[str | None, dict[str, None]] = {}
        for record in _list_records(instance, key):
            event = record.asset_materialization
            if event is None:
                continue
            sha = str(event.metadata["sha256"].value) if "sha256" in event.metadata else record.run_id
            shas = versions.setdefault(event.partition, {})
            limit = None if key.path[-1] in HISTORY_ASSETS else keep
            if sha in shas or (limit is not None and len(shas) >= limit):
                continue
            shas[sha] = None
            needed.add(record.run_id)
            if PICTURES_RUN in event.metadata:
                needed.add(str(event.metadata[PICTURES_RUN].value))
    return needed


def _list_records(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[dg.EventLogRecord]:
    """All materializations of an asset, newest first."""
    records: list[dg.EventLogRecord] = []
    cursor = None
    while True:
        page = instance.fetch_materializations(key, limit=PAGE, cursor=cursor)
        records += page.records
        cursor = page.cursor
        if not page.has_more:
            return records


def _delete_files(instance: dg.DagsterInstance, run_id: str) -> None:
    """What a run printed, and its own database."""
    with contextlib.suppress(Exception):  # a log manager of the user's may not be able to
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    folders = [Path(instance.storage_directory()) / run_id] if instance.is_persistent else []
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    if database := _database(instance, run_id):
        for path in database.parent.glob(f"{database.name}*"):
            path.unlink(missing_ok=True)


def _compact(instance: dg.DagsterInstance) -> None:
    """Give the space of deleted rows back to the file system, where Dagster uses SQLite and nobody else writes."""
    database = _database(instance, "index")
    if database is not None and database.is_file():
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("VACUUM")


def _database(instance: dg.DagsterInstance, shard: str) -> Path | None:
    """The SQLite file of a run, or the index of all; None for other storages."""
    path_for_shard = getattr(instance.event_log_storage, "path_for_shard", None)
    return Path(path_for_shard(shard)) if path_for_shard is not None else None
