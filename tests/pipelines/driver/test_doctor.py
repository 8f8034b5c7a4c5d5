"""Every check of a home finds its fault and says the fix."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from mvmodel.doctor import Finding
from pipelines.driver import doctor
from pipelines.driver.cli import main
from pipelines.driver.doctor import (
    check_pack_files,
    check_space,
    check_steps,
    check_store_whole,
    check_store_writable,
    run_home_checks,
)
from pipelines.driver.repair import HOST_TAG, PID_TAG, host_name
from pipelines.step_processes import WORKER_VARIABLE
from pipelines.store import verified_files
from pipelines.store.version_store import VersionStore


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    store = VersionStore(tmp_path / "store", tmp_path / "work")
    with store.build_lock("r" * 64) as work:
        work.mkdir()
        (work / "data.txt").write_text("content")
        store.commit(
            work, asset="clips", partition=None, recipe="r" * 64, inputs={}, code="1", config={}, pack={}, libraries={}
        )
    return store


def test_a_whole_store_passes_and_a_damaged_one_is_named(store: VersionStore) -> None:
    assert check_store_writable(store).ok and check_store_whole(store).ok and check_space(store).ok
    (file,) = Path(str(store.root)).glob("clips/*/*/data.txt")
    file.write_text("damaged")
    finding = check_store_whole(store)
    assert not finding.ok and "1 of 1 are broken: clips" in finding.detail and finding.fix


def test_bits_that_flipped_without_a_word_are_found_at_once(
    store: VersionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step would hash the file again a day after the last time; a doctor is asked about now."""
    (file,) = Path(str(store.root)).glob("clips/*/*/data.txt")
    stamp = (1, 1, 1, 1, 1)
    monkeypatch.setattr(verified_files, "_stamp", lambda _: stamp)
    assert check_store_whole(store).ok
    file.write_text("damage!")
    assert check_store_whole(store).ok
    checks = ("check_pack_files", "check_gpu_memory", "check_runs", "check_steps")
    for name in checks:
        monkeypatch.setattr(doctor, name, lambda *_: Finding("other", True, ""))
    findings = {finding.name: finding for finding in run_home_checks(tmp_path)}
    assert "1 of 1 are broken" in findings["stored versions"].detail


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the store should be")
    finding = check_store_writable(VersionStore(tmp_path / "store", tmp_path / "work"))
    assert not finding.ok and "cannot be written" in finding.detail and "`store`" in finding.fix


def test_little_space_is_said(store: VersionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 10**9))
    finding = check_space(store)
    assert not finding.ok and finding.detail == "0.9 GiB free" and "gc --delete" in finding.fix


def test_a_changed_file_of_the_pack_is_named(small_pack: Path, tmp_path: Path) -> None:
    assert check_pack_files(str(small_pack)).ok
    pack = tmp_path / "pack"
    shutil.copytree(small_pack, pack)
    (pack / "unet" / "config.json").write_text("{}")
    finding = check_pack_files(str(pack))
    assert not finding.ok and "unet/config.json" in finding.detail and finding.fix


def test_a_step_that_outlived_its_run_is_named() -> None:
    assert check_steps().ok
    environment = {**os.environ, WORKER_VARIABLE: "999999999-1.00"}
    step = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, env=environment)
    try:
        finding = check_steps()
        assert not finding.ok and f"kill -9 {step.pid}" in finding.fix
    finally:
        step.communicate(b"\n")


def test_all_checks_of_a_home_and_the_command(
    tmp_path: Path, small_pack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("MVMODEL_PACK", str(small_pack))
    findings = {finding.name: finding for finding in run_home_checks(home)}
    assert all(isinstance(finding, Finding) for finding in findings.values())
    assert all(finding.ok or not finding.required for finding in findings.values()), findings

    @dg.op
    def nothing() -> None: ...

    @dg.job
    def ingest() -> None:
        nothing()

    from pipelines.driver.home import dagster_instance

    with dagster_instance(home) as instance:
        tags = {PID_TAG: "999999999", HOST_TAG: host_name()}
        run = instance.create_run_for_job(ingest, tags=tags, status=DagsterRunStatus.STARTED)
    assert main(["doctor", "--home", str(home), "--json"]) == 1
    broken = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out) if not finding["ok"]}
    assert run.run_id[:8] in broken["runs"]["detail"] and "repair" in broken["runs"]["fix"]


def test_a_broken_check_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Finding:
        raise RuntimeError("no database")

    monkeypatch.setattr(doctor, "check_instance", fail)
    monkeypatch.setattr(doctor, "check_store_whole", fail)
    findings = {finding.name: finding for finding in run_home_checks(tmp_path)}
    assert findings["Dagster's records"].detail == "RuntimeError: no database"
    assert "store" in findings and findings["store"].ok
