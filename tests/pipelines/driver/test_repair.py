"""Repair touches what provably ran on this host and is dead, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import psutil
import pytest
from dagster import DagsterRunStatus

from pipelines.driver import repair


@dg.op
def nothing() -> None: ...


@dg.job
def empty_job() -> None:
    nothing()


@pytest.fixture(scope="module")
def shared_instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(overrides={"concurrency": {"pools": {"default_limit": 1}}}) as instance:
        yield instance


@pytest.fixture
def instance(shared_instance: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    yield shared_instance
    for run_id in claimed_runs(shared_instance):
        shared_instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    for record in shared_instance.get_run_records():
        shared_instance.delete_run(record.dagster_run.run_id)


@pytest.fixture(scope="module")
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def start_run(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    names = {"pid": repair.PID_TAG, "host": repair.HOST_TAG}
    run_tags = {names[name]: value for name, value in tags.items()}
    run = instance.create_run_for_job(empty_job, tags=run_tags, status=DagsterRunStatus.STARTED)
    instance.event_log_storage.initialize_concurrency_limit_to_default("gpu")
    instance.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "nothing")
    return run


def claimed_runs(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.event_log_storage.get_concurrency_info("gpu").active_run_ids)


def test_a_dead_run_of_this_host_is_marked_and_its_slot_is_freed(instance: dg.DagsterInstance, dead_pid: int) -> None:
    run = start_run(instance, pid=str(dead_pid), host=repair.host_name())
    sentences = repair.repair(instance)
    assert "is gone, marked failed" in sentences[0] and "freed the slot" in sentences[1]
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE
    assert not claimed_runs(instance)
    assert repair.repair(instance) == []


@pytest.mark.parametrize("host", ["another-host", None])
def test_a_run_that_is_not_provably_this_hosts_is_left_alone(
    instance: dg.DagsterInstance, dead_pid: int, host: str | None
) -> None:
    run = start_run(instance, pid=str(dead_pid), **({"host": host} if host else {}))
    assert repair.repair(instance) == []
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.STARTED
    instance.report_run_failed(run)
    assert repair.repair(instance) == [], "its slot is that host's, too"
    assert claimed_runs(instance) == {run.run_id}


def test_a_living_run_is_left_alone(instance: dg.DagsterInstance) -> None:
    run = start_run(instance, pid=str(os.getpid()), host=repair.host_name())
    assert repair.repair(instance) == []
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.STARTED


def test_a_slot_is_kept_while_a_step_of_an_ended_run_is_alive(instance: dg.DagsterInstance, dead_pid: int) -> None:
    """A worker was killed and its step goes on: two steps must not be on the GPU at once."""
    run = start_run(instance, pid=str(dead_pid), host=repair.host_name())
    step = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        instance.report_engine_event(f"Executing the step (pid: {step.pid})", run)
        instance.report_run_failed(run)
        assert repair.free_slots(instance) == [
            f"pool gpu: run {run.run_id[:8]} has ended, but its process {step.pid} is still alive"
        ]
        assert claimed_runs(instance) == {run.run_id}
    finally:
        step.communicate(b"\n")
    assert not psutil.pid_exists(step.pid)
    assert "freed the slot" in repair.free_slots(instance)[0]
    assert not claimed_runs(instance)


def test_a_machines_name_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair.socket, "gethostname", lambda: "localhost")
    repair.host_name.cache_clear()
    name = repair.host_name()
    repair.host_name.cache_clear()
    has_identity = any(path.is_file() and path.read_text().strip() for path in repair.MACHINE_FILES)
    assert name.startswith("localhost") and (name != "localhost") == has_identity
