"""A Ray cluster of two nodes on this machine: the masks are computed on both, and one of them may be lost."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from pipelines.definitions import build_defs
from pipelines.driver.home import dagster_instance
from pipelines.settings import write_settings
from pipelines.store.materializations import latest_materialization

pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytest.importorskip("dagster_ray", reason="the extra `ray` (dagster-ray) is not installed")

STEPS = ["mask_share_1", "mask_share_2", "foreground_masks"]
SECONDS = 600
"""A bound on everything that waits: a cluster that hangs fails the test."""


@dataclass
class Cluster:
    """Two nodes with one processor each and no GPU. address: of the dashboard. folder: of the nodes' files."""

    address: str
    folder: str
    second_raylet: psutil.Process

    def nodes(self) -> dict[str, bool]:
        """The living nodes: name -> whether it is the first one."""
        from ray.util.state import list_nodes

        return {n.node_id: n.is_head_node for n in list_nodes(address=self.address) if n.state == "ALIVE"}

    def find_nodes(self, run_id: str) -> dict[str, str]:
        """Step of a run -> the node on which it was started last."""
        from ray.job_submission import JobSubmissionClient

        jobs = [job for job in JobSubmissionClient(self.address).list_jobs() if job.driver_node_id]
        jobs = [job for job in jobs if (job.metadata or {}).get("dagster/run-id") == run_id]
        return {job.metadata["dagster/op"]: job.driver_node_id for job in sorted(jobs, key=lambda job: job.start_time)}

    def lose_second_node(self) -> None:
        """End all processes of the second node at once, as if its machine were switched off."""
        _kill([self.second_raylet])


def _free_ports(count: int) -> list[str]:
    listeners = [socket.socket() for _ in range(count)]
    for listener in listeners:
        listener.bind(("127.0.0.1", 0))
    ports = [str(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _kill(processes: list[psutil.Process]) -> None:
    """Kill processes and their descendants."""
    for process in processes:
        try:
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue


def _processes_of(folder: str, name: str = "") -> list[psutil.Process]:
    """The processes with a cluster's folder in their arguments; other clusters on this machine are left alone."""
    matches = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if process.pid != os.getpid() and folder in " ".join(line) and line[0].endswith(name):
            matches.append(process)
    return matches


def _environment(repository: Path) -> dict[str, str]:
    """Of the nodes: they find this repository and the commands of this environment, and may keep compiled sources."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**environment, "PYTHONPATH": str(repository), "PATH": path, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


def _start_node(*arguments: str, environment: dict[str, str], log: Path) -> None:
    # Without ports of its own, a node waits 15 seconds at most for the ports of its agents and then gives up.
    names = ("dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
    ports = [part for name, port in zip(names, _free_ports(4), strict=True) for part in (f"--{name}-port", port)]
    resources = ["--num-cpus", "1", "--num-gpus", "0", "--object-store-memory", "80000000"]
    options = ["--node-ip-address", "127.0.0.1", "--disable-usage-stats", "--include-log-monitor", "False"]
    command = [str(Path(sys.executable).with_name("ray")), "start", *arguments, *ports, *resources, *options]
    with open(log, "a") as output:  # no pipe: the node's processes would hold it open
        result = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=SECONDS
        )
    if result.returncode and "timed out during startup" in log.read_text():
        pytest.skip("this machine is so busy that Ray's node gave up after the 30 seconds that Ray allows it")
    assert result.returncode == 0, log.read_text()[-3000:]


@pytest.fixture(scope="module")
def cluster(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tempfile.mkdtemp(prefix="ray-")  # sockets do not allow the long paths of pytest's folders
    log, environment = tmp_path_factory.mktemp("ray") / "start.log", _environment(repository)
    port, page, client = _free_ports(3)
    first = ["--head", "--port", port, "--dashboard-port", page, "--ray-client-server-port", client]
    try:
        _start_node(*first, "--temp-dir", folder, environment=environment, log=log)
        raylets = {process.pid for process in _processes_of(folder, "raylet")}
        _start_node("--address", f"127.0.0.1:{port}", environment=environment, log=log)
        (second,) = [process for process in _processes_of(folder, "raylet") if process.pid not in raylets]
        yield Cluster(f"http://127.0.0.1:{page}", folder, second)
    finally:
        _kill(_processes_of(folder))
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _open_home(home: Path) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a home; the environment is as before afterwards."""
    variables = dict(os.environ)
    try:
        with dagster_instance(home) as instance:
            yield instance
    finally:
        os.environ.clear()
        os.environ.update(variables)


@pytest.fixture(scope="module")
def sections(small_pack: Path, shared_clips: Path) -> dict[str, Any]:
    return {"clips": str(shared_clips), "pack": str(small_pack), "device": "cpu"}


@pytest.fixture(scope="module")
def ingested(sections: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with clips, whose masks two steps on a Ray cluster will compute."""
    home = tmp_path_factory.mktemp("ray") / "ingested"
    with _open_home(home) as instance:
        _materialize(home, sections, ["raw_clips", "clips"], instance)
    write_settings(home, {**sections, "executor": "ray", "mask_steps": 2})
    return home


@pytest.fixture(scope="module")
def expected_masks(ingested: Path, sections: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Hash of the masks that one step in this process computes."""
    home = shutil.copytree(ingested, tmp_path_factory.mktemp("ray") / "alone")
    with _open_home(home) as instance:
        _materialize(home, sections, ["foreground_masks"], instance)
        return _masks_hash(instance)


def _materialize(home: Path, sections: dict[str, Any], names: list[str], instance: dg.DagsterInstance) -> None:
    defs = build_defs(home=home, sections=sections, executor=dg.in_process_executor)
    job = defs.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(name) for name in names]).success


def _masks_hash(instance: dg.DagsterInstance) -> str:
    materialization = latest_materialization(instance, dg.AssetKey("foreground_masks"))
    assert materialization is not None
    return str(materialization.metadata["sha256"].value)


@contextmanager
def _started(
    home: Path, cluster: Cluster, repository: Path, steps: Sequence[str] = STEPS
) -> Iterator[subprocess.Popen[bytes]]:
    """A run of the steps with the settings of a home; killed at the end if it goes on."""
    environment = {**_environment(repository), "DAGSTER_HOME": str(home / "dagster"), "RAY_ADDRESS": cluster.address}
    arguments = ["asset", "materialize", "-m", "pipelines.definitions", "--select", ",".join(steps)]
    command = [sys.executable, "-m", "dagster", *arguments]
    with open(home / "run.log", "w") as output:
        run = subprocess.Popen(command, env=environment, cwd=repository, stdout=output, stderr=output)
        try:
            yield run
        finally:
            run.kill()
            run.wait()


def _latest_run(instance: dg.DagsterInstance) -> tuple[str, list[dg.DagsterEvent]]:
    """(ID, events) of a home's latest run."""
    run_id = instance.get_run_records(limit=1)[0].dagster_run.run_id
    return run_id, [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]


def _steps(events: list[dg.DagsterEvent], kind: dg.DagsterEventType) -> list[str | None]:
    return [event.step_key for event in events if event.event_type == kind]


@pytest.mark.slow
def test_both_nodes_compute_masks_and_the_result_is_that_of_one_process(
    cluster: Cluster, ingested: Path, expected_masks: str, tmp_path: Path, repository: Path
) -> None:
    home = shutil.copytree(ingested, tmp_path / "home")
    with _started(home, cluster, repository) as run:
        assert run.wait(SECONDS) == 0, (home / "run.log").read_text()[-4000:]
    with _open_home(home) as instance:
        run_id, events = _latest_run(instance)
        nodes = cluster.find_nodes(run_id)
        assert {nodes["mask_share_1"], nodes["mask_share_2"]} == set(cluster.nodes())
        assert _masks_hash(instance) == expected_masks
        shares = [latest_materialization(instance, dg.AssetKey(name)) for name in STEPS[:2]]
        assert sorted(share.metadata["clips"].value for share in shares if share) == [3, 4]
        assert not any("GPU" in (event.message or "") for event in events), "with `device: cpu` no step asks for one"


@pytest.mark.slow
def test_a_run_that_waits_for_a_gpu_says_so(
    cluster: Cluster, ingested: Path, sections: dict[str, Any], tmp_path: Path, repository: Path
) -> None:
    home = shutil.copytree(ingested, tmp_path / "home")
    write_settings(home, {**sections, "device": "auto", "executor": "ray"})
    with _open_home(home) as instance, _started(home, cluster, repository, ["foreground_masks"]) as run:
        deadline, sentences = time.time() + SECONDS, []
        while not sentences:
            assert time.time() < deadline and run.poll() is None, (home / "run.log").read_text()[-4000:]
            messages = [event.message or "" for event in _latest_run(instance)[1]]
            sentences = [message for message in messages if "offers a GPU" in message]
    assert "foreground_masks will wait" in sentences[0] and "`device: cpu`" in sentences[0]


@pytest.mark.slow
def test_a_lost_node_costs_a_retry_and_not_the_run(
    cluster: Cluster, ingested: Path, expected_masks: str, tmp_path: Path, repository: Path
) -> None:
    home = shutil.copytree(ingested, tmp_path / "home")
    second = next(name for name, is_first in cluster.nodes().items() if not is_first)
    with _open_home(home) as instance, _started(home, cluster, repository) as run:
        deadline, lost = time.time() + SECONDS, ""
        while not lost:
            assert time.time() < deadline and run.poll() is None, (home / "run.log").read_text()[-4000:]
            run_id, events = _latest_run(instance)
            started, nodes = _steps(events, dg.DagsterEventType.STEP_START), cluster.find_nodes(run_id)
            lost = next((step for step in STEPS[:2] if step in started and nodes.get(step) == second), "")
        cluster.lose_second_node()
        assert run.wait(SECONDS) == 0, (home / "run.log").read_text()[-4000:]
        run_id, events = _latest_run(instance)
        assert set(cluster.find_nodes(run_id).values()) == set(cluster.nodes()), "the first node went on alone"
        assert _steps(events, dg.DagsterEventType.STEP_UP_FOR_RETRY) == [lost]
        assert _steps(events, dg.DagsterEventType.STEP_RESTARTED) == [lost]
        assert _steps(events, dg.DagsterEventType.STEP_FAILURE) == []
        assert _masks_hash(instance) == expected_masks
