"""Wrong names of assets and motions, given to Dagster's own commands."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._cli.asset import asset_cli

from pipelines.definitions import build_defs
from pipelines.driver.home import dagster_instance
from pipelines.selection import describe_command_error, explain_wrong_names


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_defs(home=tmp_path_factory.mktemp("home"), sections={})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the motion gallop, which Dagster's commands use."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    with dagster_instance(tmp_path) as instance:
        instance.add_dynamic_partitions("motion", ["gallop"])
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--select", "clip"], "there is no asset 'clip'; did you mean 'clips'?"),
        (["--select", "training_set", "--partition", "galop"], "there is no motion 'galop'; did you mean 'gallop'?"),
        (["--select", "training_set"], "training_set belongs to a motion; add --partition NAME; there are gallop"),
        (
            ["--select", "clips", "--partition=x"],
            "--partition x: none of these assets belongs to a motion; leave it out",
        ),
    ],
)
def test_dagsters_own_command_answers_wrong_names_in_a_sentence(
    defs: dg.Definitions, home: Path, arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    result = CliRunner().invoke(asset_cli, ["materialize", "-m", "pipelines.definitions", *arguments])
    assert result.exception is not None and result.exit_code == 1
    monkeypatch.setattr(sys, "argv", ["dagster", "asset", "materialize", *arguments])
    monkeypatch.setattr(sys, "excepthook", lambda *_: pytest.fail("a traceback was printed"))
    explain_wrong_names(defs)
    sys.excepthook(type(result.exception), result.exception, None)
    assert capsys.readouterr().err.splitlines()[-1] == f"dagster: {sentence}"


def test_other_commands_and_errors_keep_their_traceback(defs: dg.Definitions) -> None:
    error = dg.DagsterInvalidSubsetError("no such thing")
    assert describe_command_error(defs, error, ["dagster", "job", "execute"]) is None
    assert (
        describe_command_error(defs, ValueError("x"), ["dagster", "asset", "materialize", "--select", "clips"]) is None
    )
    assert describe_command_error(defs, error, ["dagster", "asset", "materialize", "--select", "clips"]) is None
