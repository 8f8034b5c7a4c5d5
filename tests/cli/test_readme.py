"""What the README tells people to type exists: commands, options, make targets, files, selections."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from mvmodel.cli import app
from pipelines.driver.cli import app as pipeline_app


@pytest.fixture(scope="module")
def lines(repository: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)
    return [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize(("program", "app", "count"), [("mvmodel", app, 6), ("mvmodel-pipeline", pipeline_app, 2)])
def test_every_command_and_option_exists(lines, program, app, count):
    start = f".venv/bin/{program} "
    commands = [shlex.split(line.split(start, 1)[1]) for line in lines if start in line]
    assert len(commands) >= count
    for words in commands:
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words


def test_every_make_target_exists(lines, repository):
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    used = {word for line in lines for word in re.findall(r"\bmake ([a-z-]+)", line)}
    assert used
    assert used <= targets


def test_every_link_leads_somewhere(repository):
    text = (repository / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link and "images/" not in link]
    assert links
    assert all((repository / link.partition("#")[0]).exists() for link in links)


@pytest.mark.slow
def test_every_asset_selection_finds_assets(lines):
    import dagster as dg

    from pipelines.definitions import build_defs

    graph = build_defs().resolve_asset_graph()
    selections = [match.group(1) for line in lines if (match := re.search(r"--select '([^']+)'", line))]
    assert len(selections) >= 5
    for selection in selections:
        assert dg.AssetSelection.from_coercible(selection.split(",")).resolve(graph), selection


@pytest.mark.slow
def test_the_python_example_writes_its_video(repository, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line and not line.startswith("from ")]) == 5
    (tmp_path / "datasets").symlink_to(repository / "datasets")
    subprocess.run([sys.executable, "-c", example], check=True, cwd=tmp_path, timeout=1200)
    assert (tmp_path / "rabbit.mp4").stat().st_size > 0
