"""The processes of runs and steps: a run records its host and process, and the process of a step ends with the run's.

By the records, `repair` tells whether a run is dead.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import psutil

from pipelines.driver.repair import process_tags
from pipelines.executors import replace_executor

WORKER_VARIABLE = "RUN_WORKER_PROCESS"
"""Environment variable that a run's process sets for its steps: its own number and when it was created. Its name has
none of the prefixes that executors forward to other machines."""
POLL_SECONDS = 1.0
PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent ends."""


class RecordedExecutor(dg.Executor):
    """Executes with another executor, after the run has recorded where it is executed."""

    def __init__(self, executor: dg.Executor) -> None:
        self.executor = executor

    @property
    def retries(self) -> Any:
        return self.executor.retries

    @property
    def step_dependency_config(self) -> Any:
        return self.executor.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Tag the run with its host and process, and tell both to the processes of its steps."""
        plan_context.instance.add_run_tags(plan_context.dagster_run.run_id, process_tags())
        os.environ[WORKER_VARIABLE] = _describe_process(os.getpid())
        try:
            yield from self.executor.execute(plan_context, execution_plan)
        finally:
            os.environ.pop(WORKER_VARIABLE, None)


def record_processes(definition: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    """The same executor with the same settings, whose runs record their host and process."""

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        assert definition.executor_creation_fn is not None
        return RecordedExecutor(definition.executor_creation_fn(context))

    return replace_executor(definition, create)


def end_with_worker() -> threading.Thread | None:
    """Make this process end when the process of its run is gone, if this is the process of one step; else None.

    Otherwise a step whose run was killed would go on, unseen, with the GPU that the next step is given. On Linux the
    kernel ends it; the thread that is returned does the same elsewhere, and where another process is between the two.
    """
    worker = os.environ.get(WORKER_VARIABLE, "")
    if not worker or worker == _describe_process(os.getpid()):
        return None
    if sys.platform == "linux" and os.getppid() == int(worker.partition("-")[0]):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    watcher = threading.Thread(target=_watch, args=(worker,), name="mvmodel-run-worker", daemon=True)
    watcher.start()
    return watcher


def _watch(worker: str) -> None:
    pid = int(worker.partition("-")[0])
    while _describe_process(pid) == worker:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def find_orphans() -> list[int]:
    """Processes of steps, of this user, whose run's process is gone."""
    orphans = []
    for process in psutil.process_iter():
        try:
            worker = process.environ().get(WORKER_VARIABLE, "")
        except psutil.Error:  # another user's, or gone meanwhile
            continue
        if worker and _describe_process(int(worker.partition("-")[0])) != worker:
            orphans.append(process.pid)
    return orphans


def _describe_process(pid: int) -> str:
    """A process's number and when it was created, which no later process of the same number shares; "" if it is gone.

    A process that has ended and was not yet collected by its parent is gone, too.
    """
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{pid}-{process.create_time():.2f}"
    except psutil.Error:
        return ""
