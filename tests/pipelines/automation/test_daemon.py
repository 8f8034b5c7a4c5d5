"""`mvmodel-pipeline ui` with nobody touching it: clips dropped in, a motion trained and reported, clips taken away.

Everything is real but small: a pack of random weights, few steps, and gates that let random weights pass.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import psutil
import pytest

from pipelines.driver.home import dagster_instance
from pipelines.driver.run import QUICK_SETTINGS
from pipelines.settings import merge_settings, write_settings

LIMIT_S = 1000.0
MOTION = "slide"
VARIABLE = "MVMODEL_DAEMON_TEST"


@dataclass
class DagsterDev:
    """Dagster's UI and daemon on a home; prints when what was awaited came true."""

    home: Path
    address: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float = field(default_factory=time.monotonic)

    def print_time(self, event: str) -> None:
        print(f"{time.monotonic() - self.started:6.1f} s  {event}", flush=True)

    def wait_for_page(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.address}/server_info", timeout=5).close()
                break
            self._check("no page")
            time.sleep(0.5)
        self.print_time("the UI answers")

    def wait_for_asset(self, asset: str, partition: str | None = None) -> None:
        key = dg.AssetKey(asset)
        with dagster_instance(self.home) as instance:
            while True:
                if partition is None:
                    is_materialized = instance.get_latest_materialization_event(key) is not None
                else:
                    is_materialized = partition in instance.get_materialized_partitions(key)
                if is_materialized:
                    break
                self._check(f"no {asset}", instance)
                time.sleep(0.5)
        self.print_time(f"{asset} is materialized")

    def wait_for_partition(self, partition: str, exists: bool) -> None:
        with dagster_instance(self.home) as instance:
            while instance.has_dynamic_partition("motion", partition) != exists:
                self._check(f"partition {partition}: not {exists}", instance)
                time.sleep(0.5)
        self.print_time(f"the motion {partition} was {'added' if exists else 'retired'}")

    def _check(self, problem: str, instance: dg.DagsterInstance | None = None) -> None:
        """Fail when the process has ended, a run has failed, or it takes too long."""
        log = self.log.read_text()[-6000:]
        assert self.process.poll() is None, f"{problem}: it ended\n{log}"
        assert time.monotonic() - self.started < LIMIT_S, f"{problem} in {LIMIT_S:.0f} s\n{log}"
        failures = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])) if instance else []
        assert not failures, f"{problem}: {failures[0].job_name} failed\n{log}"


@pytest.fixture
def dagster_dev(tmp_path: Path, small_pack: Path, repository: Path, monkeypatch: Any) -> Iterator[DagsterDev]:
    """Dagster on an empty folder of clips, with its automation on and a look every three seconds."""
    home, clips = tmp_path / "home", tmp_path / "clips"
    clips.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", "")
    for name in ("MVMODEL_CONFIG", "MVMODEL_CLIPS", "MVMODEL_PACK"):
        monkeypatch.delenv(name, raising=False)
    port, report_port = free_port(), free_port()
    settings = {
        "report_address": f"http://127.0.0.1:{report_port}",
        "clips": str(clips),
        "pack": str(small_pack),
        "automation": {"enabled": True, "interval_s": 3, "retry_minutes": 0.1},
        "requests": {"file": "", "count": 1},
        "training": {"steps": 2},
        "comparison": {"not_tuned": False, "no_mask": False, "scheduler_requests": 0},
    }
    with dagster_instance(home):
        write_settings(home, merge_settings(QUICK_SETTINGS, settings))
    log = tmp_path / "dagster-dev.log"
    ports = ["--port", str(port), "--report-port", str(report_port)]
    command = [sys.executable, "-m", "pipelines", "ui", "--home", str(home), *ports]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=repository, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    dev = DagsterDev(home, f"http://127.0.0.1:{port}", process, log)
    try:
        yield dev
    finally:
        processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for one in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def write_clips_with_masks(folder: Path, stand_ins: ModuleType) -> Path:
    """Five clips of a square that slides, and one that hops, with their masks: random weights find no object."""
    from mvmodel.masks import MaskSequence
    from mvmodel.video.frames import read_frames

    stand_ins.write_clips(folder, {MOTION: 5, "hop": 1})
    for path in sorted(path for path in folder.glob("*.mp4") if "broken" not in path.name):
        MaskSequence(read_frames(path).max(axis=-1) > 140, 8.0).save(folder / f"{path.stem}.masks.npz")
    return folder


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"takes minutes on two cores; set {VARIABLE}=1 to run it")
def test_clips_are_followed_from_the_folder_to_the_report_and_back(
    dagster_dev: DagsterDev, tmp_path: Path, stand_ins: ModuleType
) -> None:
    clips = tmp_path / "clips"
    new_clips = write_clips_with_masks(tmp_path / "new", stand_ins)
    dagster_dev.wait_for_page()
    shutil.copytree(new_clips, clips, dirs_exist_ok=True)
    dagster_dev.print_time("clips dropped in")
    dagster_dev.wait_for_partition(MOTION, exists=True)
    for asset in ("motion_adapter", "adapter_evaluation", "promoted_adapter", "generated_videos", "metric_report"):
        dagster_dev.wait_for_asset(asset, MOTION)
    with dagster_instance(dagster_dev.home) as instance:
        records_filter = dg.AssetRecordsFilter(dg.AssetKey("metric_report"), asset_partitions=[MOTION])
        report = instance.fetch_materializations(records_filter, limit=1).records[0].asset_materialization
    assert report is not None
    link = str(report.metadata["open_report"].value)
    assert MOTION in urllib.request.urlopen(link, timeout=10).read().decode()
    dagster_dev.wait_for_asset("leaderboard")
    for path in clips.glob(f"{MOTION}-*"):
        path.unlink()
    dagster_dev.print_time("clips taken away")
    dagster_dev.wait_for_partition(MOTION, exists=False)
    with dagster_instance(dagster_dev.home) as instance:
        runs = [f"{run.job_name}: {run.status.value}" for run in instance.get_runs()]
    print("\n".join(reversed(runs)))
