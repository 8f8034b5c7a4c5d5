"""CONTRIBUTING.md's layers: a folder imports only what is below it, and files never import each other in a circle."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    ("errors", "text", "text_files", "tables", "config", "files", "outputs", "cache", "code_version", "picture_size")
    + ("progress", "libraries", "workers"),
    ("video", "model"),
    ("masks",),
    ("segmentation",),
    ("motion",),
    ("world",),
    ("metrics",),
    ("authoring",),
    ("packs",),
    ("backends",),
    ("training",),
    ("generation",),
    ("foundation",),
    ("reports",),
    ("experiments",),
    ("doctor",),
    ("studio",),
    ("cli",),
)
"""Bottom to top. Members of one layer do not import each other, except the single files of the lowest one."""
LIGHT = ("mvmodel.text", "mvmodel.progress", "mvmodel.packs.device", "mvmodel.workers")
"""Modules that Dagster's definitions import: they import inflect, rich and torch when a function needs them."""
OPTIONAL = ("bitsandbytes",)
"""Packages that need not be installed: they are imported where they are used."""
LEVEL = {member: level for level, layer in enumerate(LAYERS) for member in layer}


@cache
def modules() -> dict[str, Path]:
    """Every module of the library and the pipeline by its dotted name."""
    paths = [path for folder in ("mvmodel", "pipelines") for path in (ROOT / folder).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imported_modules(path: Path) -> set[str]:
    """Modules of this repository that a file imports, at its top or inside functions, but not for types alone."""
    tree = syntax_tree(path)
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    imports: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & modules().keys()
            imports.update(submodules or {node.module})
    return imports & modules().keys()


def library_imports() -> list[tuple[str, str]]:
    """Pairs (importing module, imported module) inside the library, lazy exports of its top package left out."""
    return [
        (name, target)
        for name, path in modules().items()
        if name.startswith("mvmodel.")
        for target in imported_modules(path)
        if target.startswith("mvmodel.")
    ]


def test_training_and_generation_know_no_architecture():
    """They talk to `mvmodel.backends.backend`, so that a second backend needs no change in them."""
    architecture = ("mvmodel.backends.image_unet", "mvmodel.backends.load", "mvmodel.model")
    violations = [
        f"{name} imports {target}"
        for name, target in library_imports()
        if name.startswith(("mvmodel.training.", "mvmodel.generation.")) and target.startswith(architecture)
    ]
    assert not violations


def test_every_folder_of_the_library_has_its_layer():
    folders = {name.split(".")[1] for name in modules() if name.startswith("mvmodel.")}
    assert folders - {"__main__"} == LEVEL.keys()


def test_folders_import_only_what_is_below_them():
    upward = []
    for name, target in library_imports():
        folder, below = name.split(".")[1], target.split(".")[1]
        if folder != below and LEVEL[below] >= LEVEL[folder] and LEVEL[folder] > 0:
            upward.append(f"{name} imports {target}")
        if LEVEL[folder] == 0 and LEVEL[below] > 0:
            upward.append(f"{name} imports {target}")
    assert not upward, "\n".join(sorted(upward))


def test_the_library_imports_neither_dagster_nor_the_pipeline():
    for name, path in modules().items():
        if name.split(".")[0] == "mvmodel":
            heads = {
                (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
                for node in ast.walk(syntax_tree(path))
                if isinstance(node, (ast.Import, ast.ImportFrom))
            }
            assert not {head for head in heads if head.split(".")[0] in ("dagster", "pipelines", "benchmarks")}, name


def test_no_file_imports_itself_in_a_circle():
    graph = {name: imported_modules(path) for name, path in modules().items()}
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            pytest.fail("circle: " + " -> ".join((*trail[trail.index(name) :], name)))
        if name not in finished:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            finished.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_the_library_imports_at_the_top_of_its_modules():
    """Only command lines, packages that export names lazily and `LIGHT` modules import inside functions."""
    lazy = []
    for name, path in modules().items():
        if not name.startswith("mvmodel.") or name.startswith("mvmodel.cli") or name in LIGHT:
            continue
        if path.name in ("__init__.py", "__main__.py"):
            continue
        tree = syntax_tree(path)
        inside_functions = [
            node
            for function in ast.walk(tree)
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
            for node in function.body
        ]
        lazy += [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for statement in inside_functions
            for node in ast.walk(statement)
            if isinstance(node, (ast.Import, ast.ImportFrom)) and not _is_optional(node)
        ]
    assert not sorted(set(lazy))


def _is_optional(node: ast.Import | ast.ImportFrom) -> bool:
    name = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
    return (name or "").split(".")[0] in OPTIONAL
