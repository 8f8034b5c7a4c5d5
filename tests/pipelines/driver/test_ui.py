"""`mvmodel-pipeline ui`, from a checkout and from an installed package. tests/pipelines/automation starts it."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path

import pytest
import yaml

from pipelines import settings
from pipelines.driver.cli import main
from pipelines.report_server import HOST


def test_a_package_has_the_files_of_dagster_beside_its_settings(repository: Path) -> None:
    build = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for path in (settings.INSTANCE_FILE, settings.WORKSPACE_FILE):
        assert build["force-include"][path.name] == f"pipelines/{path.name}"
        assert yaml.safe_load(path.read_text())


def test_a_port_that_is_taken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    with socket.socket() as other_program:
        other_program.bind((HOST, 0))
        other_program.listen()
        port = other_program.getsockname()[1]
        assert main(["ui", "--home", str(tmp_path), "--report-port", str(port)]) == 2
    assert f"port {port} is taken; choose another one for reports with --report-port" in capsys.readouterr().err
