"""After a kill: runs that stayed STARTED though their process is dead, and pool slots that nobody gives back.

Dagster's own monitor does not see either with the default launcher: it cannot ask a process whether it lives.
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
PATIENCE = 300.0
"""Seconds that a run may take to say which process it is."""
_PID = re.compile(r"\(pid: (\d+)\)")


def repair(instance: dg.DagsterInstance) -> list[str]:
    """Fail the dead runs, free the slots of all that ended; a sentence for each thing done. Safe at any time."""
    done = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        if reason := _dead(instance, record):
            instance.report_run_failed(record.dagster_run, f"{reason}; marked failed by repair")
            done.append(f"run {record.dagster_run.run_id[:8]} ({record.dagster_run.job_name}): {reason}, marked failed")
    return done + free_slots(instance)


def free_slots(instance: dg.DagsterInstance) -> list[str]:
    """Give back the pool slots of runs that have ended or are unknown."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return []
    done = []
    for pool in sorted(storage.get_concurrency_keys()):
        info = storage.get_concurrency_info(pool)
        for run_id in sorted(info.active_run_ids | info.pending_run_ids | info.assigned_run_ids):
            run = instance.get_run_by_id(run_id)
            if run is None or run.status in FINISHED:
                storage.free_concurrency_slots_for_run(run_id)
                done.append(f"pool {pool}: freed the slot that run {run_id[:8]} had kept")
    return done


def _dead(instance: dg.DagsterInstance, record: dg.RunRecord) -> str:
    """Why a run is known to be dead, or "" when it lives or runs on another machine."""
    run = record.dagster_run
    if run.tags.get(HOST_TAG, socket.gethostname()) != socket.gethostname():
        return ""
    seen = {int(run.tags[PID_TAG]): record.create_timestamp.timestamp()} if PID_TAG in run.tags else {}
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        for pid in _PID.findall(entry.message or entry.user_message or ""):
            seen[int(pid)] = max(seen.get(int(pid), 0.0), entry.timestamp)
    if not seen:
        waited = time.time() - record.create_timestamp.timestamp()
        return "it never said which process it is" if waited > PATIENCE else ""
    if any(_lives(pid, when) for pid, when in seen.items()):
        return ""
    return f"its process {', '.join(map(str, sorted(seen)))} is gone"


def _lives(pid: int, when: float) -> bool:
    """Whether the process of that number at that time still runs; a later one that got the same number is another."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= when + 1
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
