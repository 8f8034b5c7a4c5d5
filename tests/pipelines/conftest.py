"""Homes, clips and a small random pack for the pipelines' tests, and stand-ins for the library's slow functions."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SIZE = "96x64"
"""Width and height of the labs' clips and videos: no square, and not the pack's own size."""
PROGRAM = Path(__file__).with_name("stand_ins.py")


@pytest.fixture(autouse=True)
def no_leftover_state() -> Iterator[None]:
    """Forget which instance's state storage Dagster last loaded definitions with.

    Contexts that Dagster builds for tests enter the instance they are given and leave it when they are collected as
    garbage, which may set the storage of an instance that is long gone.
    """
    from dagster._core.storage.defs_state.base import set_defs_state_storage

    with set_defs_state_storage(None):
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_disks() -> Iterator[None]:
    """SQLite does not wait until every event is on the disk: no test cuts the power, and a run writes hundreds."""
    import sqlite3

    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def skip_synchronisation(connection: Any, record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", skip_synchronisation)
    yield
    event.remove(Engine, "connect", skip_synchronisation)


@pytest.fixture(scope="session")
def stand_ins() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stand_ins", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def small_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of random weights: 64 x 64 pixels, 4 frames, through the loader of real packs."""
    from mvmodel.packs.random_pack import write_random_pack

    return write_random_pack("small", tmp_path_factory.mktemp("packs") / "small")


@pytest.fixture(scope="session")
def shared_clips(tmp_path_factory: pytest.TempPathFactory, stand_ins: ModuleType) -> Path:
    """Five wide clips of one motion, two of another that waits for more, one file that is no video."""
    return stand_ins.write_clips(tmp_path_factory.mktemp("clips") / "raw", {"slide": 5, "hop": 2}, width=96)


@dataclass
class Lab:
    """A home with clips of its own, driven in this process or in another."""

    home: Path
    clips: Path
    pack: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        config = self.home.parent / "config.json"
        config.write_text(
            json.dumps(
                {"size": SIZE, "requests": {"file": "", "count": 2}, "evaluation": {"count": 1}, **self.settings}
            )
        )
        where = ["--clips", str(self.clips), "--home", str(self.home), "--pack", str(self.pack)]
        return ["run", *where, "--config", str(config)]

    def run(self) -> dict[str, Any]:
        """One run in this process; its summary, with the exit status."""
        from pipelines.driver.cli import main

        status = main(self.arguments())
        return {"status": status, **json.loads((self.home / "summary.json").read_text())}

    def start(self, slow: str) -> subprocess.Popen[str]:
        """The same in a process of its own, which takes a minute over the call that logs the line `slow`."""
        log = {"STAND_IN_LOG": str(self.log), "STAND_IN_SLOW": slow}
        command = [sys.executable, str(PROGRAM), *self.arguments()]
        return subprocess.Popen(
            command, env={**os.environ, **log}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def kill_at(self, line: str, with_signal: signal.Signals = signal.SIGKILL) -> tuple[int, str]:
        """Start it, signal it as soon as the log says `line`; (exit status, what it printed)."""
        process = self.start(line)
        deadline = time.time() + 600
        try:
            while line not in self.calls():
                assert time.time() < deadline and process.poll() is None, process.communicate()[0]
                time.sleep(0.05)
            process.send_signal(with_signal)
            output = process.communicate(timeout=300)[0]
        finally:
            process.kill()
        return process.returncode, output

    @property
    def log(self) -> Path:
        return self.home.parent / "calls.log"

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def instance(self) -> Any:
        from pipelines.driver.home import dagster_instance

        return dagster_instance(self.home)

    @property
    def store(self) -> Any:
        from pipelines.store.version_store import VersionStore

        return VersionStore(self.home / "store", self.home / "work")


@pytest.fixture(scope="session")
def lab_kind() -> type[Lab]:
    return Lab


@pytest.fixture
def lab(tmp_path: Path, shared_clips: Path, small_pack: Path, stand_ins: ModuleType, monkeypatch: Any) -> Iterator[Lab]:
    """A fresh home on stand-ins; every call of one is in `lab.calls()`."""
    lab = Lab(tmp_path / "home", tmp_path / "clips", small_pack)
    shutil.copytree(shared_clips, lab.clips)
    for name in ("DAGSTER_HOME", "MVMODEL_CONFIG", "MVMODEL_CLIPS", "MVMODEL_PACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STAND_IN_LOG", str(lab.log))
    stand_ins.install(monkeypatch.setattr)
    before = dict(os.environ)
    yield lab
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, shared_clips: Path, small_pack: Path, stand_ins: ModuleType
) -> Path:
    """What one whole run leaves: home, clips, and the summary of it."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(shared_clips, folder / "clips")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        stand_ins.install(patch.setattr)
        summary = Lab(folder / "home", folder / "clips", small_pack).run()
        patch.setenv("DAGSTER_HOME", "")
    assert summary["status"] == 0, summary["failures"]
    return folder


@pytest.fixture
def finished_lab(lab: Lab, finished: Path) -> Lab:
    """A lab whose home has been run through once (copied, so nothing in it may hang on where it lies)."""
    shutil.copytree(finished, lab.home.parent, dirs_exist_ok=True)
    return lab
