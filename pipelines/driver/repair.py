"""Cleans up after killed processes: runs that Dagster still counts as running, and concurrency slots they hold.

Dagster's own run monitoring detects neither with the default launcher, which cannot check whether a process is alive.
"""

from __future__ import annotations

import re
import socket
import time

import dagster as dg
import psutil
from dagster import DagsterRunStatus

PID_TAG, HOST_TAG = "mvmodel/pid", "mvmodel/host"
UNFINISHED = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
FINISHED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
PID_TIMEOUT = 300.0
"""Seconds after which a run that has not recorded its process counts as dead."""
_PID = re.compile(r"\(pid: (\d+)\)")


def repair(instance: dg.DagsterInstance) -> list[str]:
    """Mark dead runs as failed and free the slots of ended runs; returns a sentence per repair. Safe at any time."""
    repairs = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        if reason := _death_reason(instance, record):
            instance.report_run_failed(record.dagster_run, f"{reason}; marked failed by repair")
            repairs.append(
                f"run {record.dagster_run.run_id[:8]} ({record.dagster_run.job_name}): {reason}, marked failed"
            )
    return repairs + free_slots(instance)


def free_slots(instance: dg.DagsterInstance) -> list[str]:
    """Free the concurrency slots of runs that have ended or are unknown; returns a sentence per slot."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return []
    repairs = []
    for pool in sorted(storage.get_concurrency_keys()):
        info = storage.get_concurrency_info(pool)
        for run_id in sorted(info.active_run_ids | info.pending_run_ids | info.assigned_run_ids):
            run = instance.get_run_by_id(run_id)
            if run is None or run.status in FINISHED:
                storage.free_concurrency_slots_for_run(run_id)
                repairs.append(f"pool {pool}: freed the slot of run {run_id[:8]}")
    return repairs


def _death_reason(instance: dg.DagsterInstance, record: dg.RunRecord) -> str:
    """Why a run is known to be dead; empty if it is alive or runs on another machine."""
    run = record.dagster_run
    if run.tags.get(HOST_TAG, socket.gethostname()) != socket.gethostname():
        return ""
    processes = {int(run.tags[PID_TAG]): record.create_timestamp.timestamp()} if PID_TAG in run.tags else {}
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        for pid in _PID.findall(entry.message or entry.user_message or ""):
            processes[int(pid)] = max(processes.get(int(pid), 0.0), entry.timestamp)
    if not processes:
        waited = time.time() - record.create_timestamp.timestamp()
        return "it never recorded its process" if waited > PID_TIMEOUT else ""
    if any(_is_alive(pid, timestamp) for pid, timestamp in processes.items()):
        return ""
    return f"its process {', '.join(map(str, sorted(processes)))} is gone"


def _is_alive(pid: int, timestamp: float) -> bool:
    """Whether the process that had this number at that time still runs; a later process may have the same number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= timestamp + 1
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
