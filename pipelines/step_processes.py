"""The processes of runs and steps: a run records its host and process, and the process of a step ends with the run's.

By the records, `repair` tells whether a run is dead. A step whose own process was killed is tried again.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
from dagster._core.executor.multiprocess import MultiprocessExecutor

from pipelines.driver.repair import process_tags
from pipelines.executors import WrappedExecutor, replace_executor

WORKER_VARIABLE = "RUN_WORKER_PROCESS"
"""Environment variable that a run's process sets for its steps: its own number and when it was created. Its name has
none of the prefixes that executors forward to other machines."""
MEMORY_VARIABLE = "RUN_MEMORY_KILLS"
"""Environment variable that a run's process sets for its steps: this machine's `_count_memory_kills` at that time."""
LOST_STEP_RETRIES, RETRY_SECONDS = 2, 10.0
"""Times that a step is tried again after its process was killed, and seconds before each."""
POLL_SECONDS = 1.0
PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent ends."""


class LostStepPolicy(dg.RetryPolicy):
    """Tries a step again whose process was killed, with the executor `multiprocess`.

    Elsewhere it counts as no policy. Where steps are executed in the process of their run, nothing can be lost alone,
    and Dagster would restart a step that the user has interrupted. On Ray and Kubernetes, `RepeatingExecutor` knows
    what was lost.
    """

    def __bool__(self) -> bool:
        return RecordedExecutor.has_separate_steps or is_separate_step()


class RecordedExecutor(WrappedExecutor):
    """Executes with another executor, after the run has recorded where it is executed.

    has_separate_steps: whether this process executes a run whose steps have processes of their own on this machine.
    """

    has_separate_steps = False

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Tag the run with its host and process, and tell both to the processes of its steps."""
        plan_context.instance.add_run_tags(plan_context.dagster_run.run_id, process_tags())
        os.environ[WORKER_VARIABLE] = _describe_process(os.getpid())
        os.environ[MEMORY_VARIABLE] = _count_memory_kills()
        RecordedExecutor.has_separate_steps = isinstance(self.executor, MultiprocessExecutor)
        try:
            yield from self.executor.execute(plan_context, execution_plan)
        finally:
            RecordedExecutor.has_separate_steps = False
            for name in (WORKER_VARIABLE, MEMORY_VARIABLE):
                os.environ.pop(name, None)


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


def is_separate_step() -> bool:
    """Whether this is the process of a step, on the machine of its run's process, and not that process itself."""
    worker = os.environ.get(WORKER_VARIABLE, "")
    return bool(worker) and worker != _describe_process(os.getpid())


def was_killed_for_memory(attempts: int) -> bool:
    """Whether an earlier attempt of a step may have been killed because this machine's memory was full.

    Linux counts such kills; elsewhere it is not known.

    Args:
        attempts: Attempts before this one.
    """
    earlier, now = os.environ.get(MEMORY_VARIABLE, ""), _count_memory_kills()
    if not attempts or not earlier or not now:
        return False
    (boot, count), (boot_now, count_now) = earlier.rsplit(":", 1), now.rsplit(":", 1)
    return boot == boot_now and int(count_now) > int(count)


def _count_memory_kills() -> str:
    """The ID of this boot, and how many processes were killed since because memory was full; "" where Linux does not
    say. Of a container or service with a limit of its own, only its own processes count."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        group = Path("/proc/self/cgroup").read_text().partition("0::/")[2].partition("\n")[0]
        limits = Path("/sys/fs/cgroup") / group / "memory.events"
        lines = (limits if limits.is_file() else Path("/proc/vmstat")).read_text().splitlines()
        counts = dict(line.split() for line in lines)
        return f"{boot}:{int(counts['oom_kill'])}"
    except (OSError, ValueError, LookupError):
        return ""


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
