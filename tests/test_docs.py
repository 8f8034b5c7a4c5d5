"""The documentation names files, modules, commands and options that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from mvmodel.cli import app
from pipelines.driver.cli import app as pipeline_app

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/peers.md",
    *(
        f"docs/{page}.md"
        for page in (
            "benchmarks",
            "experiments",
            "glossary",
            "inputs",
            "reliability",
            "scaling",
            "masks",
            "method",
            "metrics",
            "sd15",
            "studio",
            "tiny-pack",
        )
    ),
)


@pytest.fixture(params=PAGES)
def page(request, repository) -> Path:
    return repository / request.param


def test_every_page_is_listed(repository):
    pages = {f"docs/{path.name}" for path in (repository / "docs").glob("*.md")}
    assert pages <= {*PAGES, "docs/settings.md"}  # settings.md is generated and has its own test


def test_every_link_leads_to_a_file_and_heading(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, link


def test_every_path_and_module_exists(page, repository):
    text = page.read_text()
    folders = "mvmodel|pipelines|tests|benchmarks|configs|datasets|docs"
    paths = re.findall(rf"`((?:{folders})/[\w./*-]*)", text)
    modules = re.findall(r"`((?:mvmodel|pipelines|benchmarks)(?:\.\w+)+)`", text)
    modules += re.findall(r"python -m ((?:mvmodel|pipelines|benchmarks)[\w.]*)", text)
    for path in paths:
        assert list(repository.glob(path.rstrip("/."))), path
    for test in re.findall(r"`(test_\w+\.py)`", text):
        assert list((repository / "tests").rglob(test)), test
    for module in modules:
        assert _find_module(module, repository), module


def _find_module(name: str, repository: Path) -> bool:
    """Whether a dotted name is a module, or a name that a module defines or imports."""
    path = repository / name.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    for file in (path.parent.with_suffix(".py"), path.parent / "__init__.py"):
        if file.exists() and re.search(rf"\b{path.name}\b", file.read_text()):
            return True
    return False


def test_every_command_and_option_exists(page):
    lines = re.findall(r"(?:^|`)(?:\.venv/bin/)?(mvmodel(?:-pipeline)?) ([^`\n#]+)", page.read_text(), re.MULTILINE)
    for program, line in lines:
        words = shlex.split(line)
        command = typer.main.get_command(app if program == "mvmodel" else pipeline_app)
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= options | {"--help"}, line


def test_the_benchmarks_page_lists_every_benchmark(repository):
    from benchmarks.__main__ import BENCHMARKS, COMPARISONS

    text = (repository / "docs" / "benchmarks.md").read_text()
    rows = re.findall(r"^\| `python -m benchmarks (\w+)", text, re.MULTILINE)
    assert set(rows) == BENCHMARKS.keys() | COMPARISONS.keys()
    sentence = re.search(r"`python -m benchmarks all`: ([^.]+)\.", text)
    assert sentence is not None
    assert set(re.findall(r"\w+", sentence[1])) - {"and"} == BENCHMARKS.keys()
