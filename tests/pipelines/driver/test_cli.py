"""`mvmodel-pipeline`: its commands, and the exit status and one sentence of a mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pipelines.driver.cli import app, main


def test_every_command_and_option_of_before_exists() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    options = {
        name: {o for p in command.params for o in p.opts if o.startswith("-")} for name, command in commands.items()
    }
    assert set(commands) == {"run", "lineage", "rollback", "repair", "gc", "verify"}
    assert {"--clips", "--config", "--pack", "--quick", "--home"} <= options["run"]
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


@pytest.mark.slow
def test_python_dash_m_is_the_same_and_help_does_not_import_dagster() -> None:
    program = "import sys; from pipelines.driver.cli import main; main(['--help']); print('dagster' in sys.modules)"
    helped = subprocess.run([sys.executable, "-m", "pipelines", "--help"], capture_output=True, text=True, check=True)
    direct = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert direct.stdout == helped.stdout + "False\n"
