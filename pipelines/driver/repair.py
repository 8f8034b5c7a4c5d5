"""Cleans up after killed processes: runs that Dagster still counts as running, and concurrency slots they hold.

Dagster's own run monitoring detects neither with the default launcher, which cannot check whether a process is alive.
Only what provably ran on this host and is dead is touched: several hosts may share one instance.
"""

from __future__ import annotations

import os
import re
import socket
from functools import cache
from pathlib import Path

import dagster as dg
import psutil
from dagster import DagsterRunStatus

from mvmodel.files import hash_value

PID_TAG, HOST_TAG = ".dagster/mvmodel/pid", ".dagster/mvmodel/host"
UNFINISHED = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
FINISHED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
MACHINE_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_PID = re.compile(r"\(pid: (\d+)\)")


@cache
def host_name() -> str:
    """This host's name with the beginning of a hash of its machine ID, because names such as "localhost" repeat."""
    for path in MACHINE_FILES:
        if path.is_file() and (identity := path.read_text().strip()):
            return f"{socket.gethostname()}-{hash_value(identity)[:8]}"
    return socket.gethostname()


def process_tags() -> dict[str, str]:
    """The tags by which a run names the host and the process that execute it."""
    return {PID_TAG: str(os.getpid()), HOST_TAG: host_name()}


def repair(instance: dg.DagsterInstance) -> list[str]:
    """Mark dead runs as failed and free the slots of ended runs; returns a sentence per repair. Safe at any time."""
    repairs = []
    for run, reason in find_dead_runs(instance):
        instance.report_run_failed(run, f"{reason}; marked failed by repair")
        repairs.append(f"run {run.run_id[:8]} ({run.job_name}): {reason}, marked failed")
    return repairs + free_slots(instance)


def find_dead_runs(instance: dg.DagsterInstance) -> list[tuple[dg.DagsterRun, str]]:
    """Runs of this host that Dagster counts as running although they are dead, each with the reason."""
    records = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
    reasons = [(record.dagster_run, _death_reason(instance, record)) for record in records]
    return [(run, reason) for run, reason in reasons if reason]


def free_slots(instance: dg.DagsterInstance) -> list[str]:
    """Free the concurrency slots of runs that have ended on this host, or that Dagster does not know.

    A slot is kept while a process of its run is alive, which may be a step that outlived the run, and if the run was
    another host's. Returns a sentence per slot.
    """
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return []
    repairs = []
    for pool in sorted(storage.get_concurrency_keys()):
        info = storage.get_concurrency_info(pool)
        for run_id in sorted(info.active_run_ids | info.pending_run_ids | info.assigned_run_ids):
            records = instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))
            if records and records[0].dagster_run.status not in FINISHED:
                continue
            if records and not _is_this_hosts(records[0].dagster_run):
                continue
            processes = find_living_processes(instance, records[0]) if records else []
            if any(pid != os.getpid() for pid in processes):
                pids = ", ".join(map(str, processes))
                repairs.append(f"pool {pool}: run {run_id[:8]} has ended, but its process {pids} is still alive")
            else:
                storage.free_concurrency_slots_for_run(run_id)
                repairs.append(f"pool {pool}: freed the slot of run {run_id[:8]}")
    return repairs


def find_living_processes(instance: dg.DagsterInstance, record: dg.RunRecord) -> list[int]:
    """The processes of a run of this host that are still alive: the run's own and those of its steps."""
    processes = _recorded_processes(instance, record)
    return sorted(pid for pid, timestamp in processes.items() if _is_alive(pid, timestamp))


def _is_this_hosts(run: dg.DagsterRun) -> bool:
    """Whether a run has recorded this host. A run without a host may be any host's."""
    return run.tags.get(HOST_TAG) == host_name()


def _death_reason(instance: dg.DagsterInstance, record: dg.RunRecord) -> str:
    """Why a run is known to be dead; empty if it is alive, or if it is not known to be this host's."""
    if not _is_this_hosts(record.dagster_run) or find_living_processes(instance, record):
        return ""
    processes = _recorded_processes(instance, record)
    return f"its process {', '.join(map(str, sorted(processes)))} is gone" if processes else ""


def _recorded_processes(instance: dg.DagsterInstance, record: dg.RunRecord) -> dict[int, float]:
    """Process -> a time at which it was alive, of everything that a run has recorded."""
    run = record.dagster_run
    processes = {int(run.tags[PID_TAG]): record.create_timestamp.timestamp()} if PID_TAG in run.tags else {}
    kinds = dg.DagsterEventType
    types = {kinds.ENGINE_EVENT, kinds.STEP_WORKER_STARTED, kinds.LOGS_CAPTURED}
    for entry in instance.all_logs(run.run_id, of_type=types):
        pids = _PID.findall(entry.message or entry.user_message or "")
        data = entry.dagster_event.event_specific_data if entry.dagster_event else None
        pid = (getattr(data, "metadata", None) or {}).get("pid")
        for number in [*pids, *([str(pid.value)] if pid is not None else [])]:
            processes[int(number)] = max(processes.get(int(number), 0.0), entry.timestamp)
    return processes


def _is_alive(pid: int, timestamp: float) -> bool:
    """Whether the process that had this number at that time still runs; a later process may have the same number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= timestamp + 1
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
