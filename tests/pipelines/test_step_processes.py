"""How steps are executed: a run records its host and process, and no process of a step outlives its run's."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psutil
import pytest

from pipelines import step_processes
from pipelines.assets.decorator import mvmodel_asset
from pipelines.driver import repair
from pipelines.step_processes import (
    MEMORY_VARIABLE,
    WORKER_VARIABLE,
    LostStepPolicy,
    end_with_worker,
    record_processes,
    was_killed_for_memory,
)
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.io_manager import HandleIOManager

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


def test_a_policy_for_lost_steps_exists_only_where_a_step_can_be_lost_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster repeats an interrupted step under a policy; in the run's process that would be against the user."""
    policy = LostStepPolicy(max_retries=2, delay=10)
    assert not policy and policy.calculate_delay(1) == 10
    monkeypatch.setenv(WORKER_VARIABLE, step_processes._describe_process(os.getpid()))
    assert not policy, "the run's own process"
    monkeypatch.setenv(WORKER_VARIABLE, "1-0.00")
    assert policy, "the process of a step"


@pytest.mark.parametrize(
    ("before", "now", "attempts", "is_killed"),
    [
        ("boot:3", "boot:4", 1, True),
        ("boot:3", "boot:4", 0, False),
        ("boot:3", "boot:3", 1, False),
        ("other:3", "boot:4", 1, False),
        ("", "boot:4", 1, False),
        ("boot:3", "", 1, False),
    ],
)
def test_a_step_that_the_system_killed_for_its_memory_is_known(
    before: str, now: str, attempts: int, is_killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, before)
    monkeypatch.setattr(step_processes, "_count_memory_kills", lambda: now)
    assert was_killed_for_memory(attempts) == is_killed


def test_linux_says_how_often_memory_was_full() -> None:
    if Path("/proc/vmstat").exists():
        assert step_processes._count_memory_kills().rpartition(":")[2].isdigit()


LOST_FOLDER = "LOST_STEP_FOLDER"


@mvmodel_asset("training", code_version="1", pool="gpu", retry_policy=LostStepPolicy(max_retries=2))
def lost_once(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult:
    """Its process is killed at the first attempt, after it has written its first half."""

    def build(folder: Path) -> None:
        half = folder / "half"
        if not half.exists():
            half.write_text("1")
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / "attempt").write_text(str(context.retry_number))

    return store.step(context, {}, {}, build)


@mvmodel_asset("training", code_version="1", retry_policy=LostStepPolicy(max_retries=2))
def wrong(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Fails in its own function, which no other attempt would change."""
    with (Path(os.environ[LOST_FOLDER]) / "attempts").open("a") as file:
        file.write("x")
    raise ValueError("it is wrong")


def build_lost_job() -> dg.JobDefinition:
    folder = Path(os.environ[LOST_FOLDER])
    store = ArtifactStore(root=str(folder / "store"), work=str(folder / "work"))
    return dg.Definitions(
        assets=[lost_once, wrong],
        jobs=[dg.define_asset_job("lost_job")],
        resources={"store": store, "handles": HandleIOManager(store=store)},
        executor=record_processes(dg.multiprocess_executor),
    ).resolve_job_def("lost_job")


@pytest.mark.slow
def test_a_step_whose_process_is_killed_goes_on_in_another_and_a_mistake_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOST_FOLDER, str(tmp_path))
    settings = {"concurrency": {"pools": {"default_limit": 1, "granularity": "op"}}}
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=settings) as instance:
        result = dg.execute_job(dg.reconstructable(build_lost_job), instance)
        events = result.all_events
        assert [event.step_key for event in events if event.is_step_up_for_retry] == ["lost_once"]
        assert [event.step_key for event in events if event.is_step_failure] == ["wrong"]
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0
    assert (tmp_path / "attempts").read_text() == "x"
    assert next((tmp_path / "store").rglob("attempt")).read_text() == "1"
