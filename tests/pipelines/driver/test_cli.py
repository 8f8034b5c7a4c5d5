"""`mvmodel-pipeline`: its commands, and the exit status and one sentence of a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pipelines import settings
from pipelines.driver import progress
from pipelines.driver.cli import app, main
from pipelines.driver.home import find_home
from pipelines.driver.progress import StageTimings


def test_every_command_and_option_of_before_exists() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    options = {
        name: {o for p in command.params for o in p.opts if o.startswith("-")} for name, command in commands.items()
    }
    assert set(commands) == {"run", "ui", "materialize", "lineage", "rollback", "repair", "doctor", "gc", "verify"}
    assert {"--clips", "--config", "--pack", "--quick", "--home"} <= options["run"]
    assert {"--port", "--report-port", "--home"} <= options["ui"]
    assert {"--json", "--home"} <= options["lineage"]
    assert {"--delete", "--keep", "--days", "--home"} <= options["gc"]
    assert "--home" in options["rollback"] and "--home" in options["repair"]


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--help"], 0, "lineage"),
        (["nope"], 2, "No such command"),
        (["lineage", "nowhere.mp4"], 2, "mvmodel-pipeline: there is no "),
        (["rollback", "gallop"], 2, "no adapter of 'gallop' was ever promoted"),
        (["repair"], 0, "nothing to repair"),
        (["repair", "--json"], 0, "[]"),
        (["gc", "--json"], 0, '"items": []'),
        (["materialize", "clip"], 2, "there is no asset 'clip'; did you mean 'clips'?"),
        (["materialize", "group:nothing"], 2, "selects no assets; there are"),
        (["materialize", "key:(("], 2, "is no selection of assets"),
        (["materialize", "motion_adapter"], 2, "motion_adapter belongs to a motion; add --motion NAME; there are none"),
        (["materialize", "motion_adapter", "--motion", "gallop"], 2, "there is no motion 'gallop'"),
        (["materialize", "clips", "--motion", "gallop"], 2, "none of these assets belongs to a motion"),
        (["gc"], 0, "0 items"),
        (["verify"], 0, "0 versions, 0 damaged"),
    ],
)
def test_exit_status_and_one_sentence(
    arguments: list[str], status: int, text: str, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    assert main(arguments) == status
    output = "".join(capsys.readouterr())
    assert text in output and "Traceback" not in output


def test_the_home_in_use_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr(settings, "REPOSITORY", tmp_path)
    assert find_home() == tmp_path / ".mvmodel" / "home"
    for number, name in enumerate(("demo", "other")):
        folder = tmp_path / ".mvmodel" / name / "dagster"
        folder.mkdir(parents=True)
        (folder / "dagster.yaml").touch()
        os.utime(folder, (number, number))
    assert find_home() == tmp_path / ".mvmodel" / "other", "used last"
    (tmp_path / ".mvmodel" / "home").mkdir()
    assert find_home() == tmp_path / ".mvmodel" / "home"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "mine" / "dagster"))
    assert find_home() == tmp_path / "mine"


def test_progress_is_a_json_object_per_line_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timings = StageTimings(live=True, log_format="json")
    monkeypatch.setattr(progress, "step_timings", timings)
    progress.print_progress("  clips    2.0 s", asset="clips", seconds=2.0)
    line = json.loads(capsys.readouterr().out)
    assert line.pop("time") and line == {"message": "clips 2.0 s", "asset": "clips", "seconds": 2.0}


@pytest.mark.slow
def test_python_dash_m_is_the_same_and_help_does_not_import_dagster() -> None:
    program = "import sys; from pipelines.driver.cli import main; main(['--help']); print('dagster' in sys.modules)"
    helped = subprocess.run([sys.executable, "-m", "pipelines", "--help"], capture_output=True, text=True, check=True)
    direct = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert direct.stdout == helped.stdout + "False\n"
