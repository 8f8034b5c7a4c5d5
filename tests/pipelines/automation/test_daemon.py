"""Dagster's own daemon, with nobody touching it: clips dropped in, a motion trained and reported, clips taken away."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import dagster as dg
import psutil
import pytest

LIMIT_S = 600.0
VARIABLE = "MVMODEL_DAEMON_TEST"


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"takes minutes on two cores; set {VARIABLE}=1 to run it")
def test_clips_are_followed_from_the_folder_to_the_report_and_back(
    tmp_path: Path, stand_ins: ModuleType, small_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, clips = tmp_path / "home", tmp_path / "clips"
    clips.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    environment = {**os.environ, "MVMODEL_CLIPS": str(clips), "MVMODEL_PACK": str(small_pack)}
    from pipelines.driver.home import dagster_instance

    started = time.monotonic()

    def wait_for(what: str, condition: Callable[[dg.DagsterInstance], bool]) -> None:
        while True:
            with dagster_instance(home) as instance:
                if condition(instance):
                    break
                failed = [run for run in instance.get_runs() if run.status == dg.DagsterRunStatus.FAILURE]
            assert daemon.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() - started < LIMIT_S, f"{what}; failed: {failed}; {log.read_text()[-4000:]}"
            time.sleep(1)
        print(f"{time.monotonic() - started:6.1f} s  {what}", flush=True)

    def is_materialized(instance: dg.DagsterInstance, asset: str, partition: str | None = None) -> bool:
        key = dg.AssetKey(asset)
        if partition is None:
            return instance.get_latest_materialization_event(key) is not None
        return partition in instance.get_materialized_partitions(key)

    with dagster_instance(home):
        pass
    log = tmp_path / "daemon.log"
    location = Path(__file__).parents[1] / "stand_in_location.py"
    command = [sys.executable, "-m", "dagster._daemon", "run", "-f", str(location), "-a", "defs"]
    with log.open("w") as output:
        daemon = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=tmp_path
        )
    try:
        shutil.copytree(stand_ins.write_clips(tmp_path / "new", {"slide": 5, "hop": 2}), clips, dirs_exist_ok=True)
        print(f"{time.monotonic() - started:6.1f} s  clips dropped in")
        wait_for("ingested", lambda instance: instance.has_dynamic_partition("motion", "slide"))
        wait_for("trained", lambda instance: is_materialized(instance, "motion_adapter", "slide"))
        wait_for("promoted", lambda instance: is_materialized(instance, "promoted_adapter", "slide"))
        wait_for("reported", lambda instance: (home / "reports" / "slide.html").is_file())
        wait_for("ranked", lambda instance: is_materialized(instance, "leaderboard"))
        for path in clips.glob("slide-*"):
            path.unlink()
        print(f"{time.monotonic() - started:6.1f} s  clips taken away")
        wait_for("retired", lambda instance: not instance.has_dynamic_partition("motion", "slide"))
    finally:
        processes = [psutil.Process(daemon.pid), *psutil.Process(daemon.pid).children(recursive=True)]
        daemon.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(20)
        for process in processes:
            if process.is_running():
                process.kill()
        daemon.wait()
