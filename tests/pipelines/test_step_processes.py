"""How steps are executed: a run records its host and process, and no process of a step outlives its run's."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import dagster as dg
import psutil
import pytest

from pipelines import step_processes
from pipelines.driver import repair
from pipelines.step_processes import WORKER_VARIABLE, end_with_worker, record_processes

SEEN: list[str] = []


@dg.op
def note_worker() -> None:
    SEEN.append(os.environ.get(WORKER_VARIABLE, ""))


@dg.job(executor_def=record_processes(dg.in_process_executor))
def recorded_job() -> None:
    note_worker()


def test_a_run_records_where_it_is_executed() -> None:
    SEEN.clear()
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.execute_job(dg.reconstructable(recorded_job), instance)
        tags = instance.get_run_by_id(result.run_id).tags
    assert result.success
    assert tags[repair.PID_TAG] == str(os.getpid()) and tags[repair.HOST_TAG] == repair.host_name()
    assert SEEN[0].startswith(f"{os.getpid()}-") and WORKER_VARIABLE not in os.environ


@pytest.mark.parametrize("executor", [dg.in_process_executor, dg.multiprocess_executor], ids=lambda e: e.name)
def test_executors_keep_their_settings(executor: dg.ExecutorDefinition) -> None:
    recorded = record_processes(executor)
    assert recorded.name == executor.name and recorded.config_schema == executor.config_schema
    assert recorded.get_requirements({}) == executor.get_requirements({})


def test_only_the_process_of_a_step_ends_with_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKER_VARIABLE, raising=False)
    assert end_with_worker() is None
    monkeypatch.setenv(WORKER_VARIABLE, step_processes._describe_process(os.getpid()))
    assert end_with_worker() is None, "the run's own process"


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a forked process, which never returns to pytest."""
    if child := os.fork():
        return child
    try:
        work()
    finally:
        os._exit(0)


@pytest.mark.parametrize("generations", [1, 2])
def test_a_step_ends_when_its_worker_is_killed(generations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two generations, the first is a process between worker and step, which the kernel's signal does not cross."""
    monkeypatch.setattr(step_processes, "POLL_SECONDS", 0.05)
    reader, writer = os.pipe()

    def step() -> None:
        end_with_worker()
        os.write(writer, f"{os.getpid()}\n".encode())
        time.sleep(300)

    def worker() -> None:
        os.environ[WORKER_VARIABLE] = step_processes._describe_process(os.getpid())
        fork(step if generations == 1 else lambda: os.waitpid(fork(step), 0))
        time.sleep(300)

    worker_pid = fork(worker)
    step_pid = int(os.read(reader, 100))
    assert psutil.pid_exists(step_pid)
    os.kill(worker_pid, signal.SIGKILL)
    os.waitpid(worker_pid, 0)
    deadline = time.monotonic() + 60
    while step_processes._describe_process(step_pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not step_processes._describe_process(step_pid)
