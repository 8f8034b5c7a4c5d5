"""`code_version`: what code a stage rests on, as a hash, found by reading the sources and never by importing them.

A stage names the library modules that it calls. Everything of `mvmodel` that these import, directly or not, counts.
Comments, docstrings and layout do not: tidying up a file makes nothing stale.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

import mvmodel

LIBRARY = Path(mvmodel.__file__).parent
NOT_FOLLOWED = ("mvmodel.packs",)
"""What a pack holds is a recipe's own part (its hash); how it is loaded decides no result."""
NAMED_LIBRARIES = (
    "accelerate", "av", "dagster", "decord", "diffusers", "mvmodel", "numpy", "open_clip_torch", "pandas",
    "opencv-python-headless", "scikit-learn", "segment_anything", "torch", "transformers",
)  # fmt: skip


def code_version(*modules: str, files: tuple[Path | str, ...] = ()) -> str:
    """Hash of the sources of `modules` (names in `mvmodel`), of what they import, and of `files`; 12 characters."""
    digest = hashlib.sha256()
    for path in sorted(import_closure(*modules)):
        digest.update(f"{path.relative_to(LIBRARY.parent).as_posix()}\0{_meaning(path)}\n".encode())
    for file in files:
        digest.update(f"{Path(file).name}\0{_meaning(Path(file))}\n".encode())
    return digest.hexdigest()[:12]


def import_closure(*modules: str) -> set[Path]:
    """Source files of the modules and of every `mvmodel` module that they import."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name.startswith(NOT_FOLLOWED):
            continue
        for path in _sources(name):
            if path not in found:
                found.add(path)
                waiting.extend(_imports(path))
    return found


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that results rest on."""
    versions = {}
    for name in NAMED_LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _sources(module: str) -> list[Path]:
    """A module's file; for a package its __init__ (followed to what it imports), or all of it if that is empty."""
    base = LIBRARY.parent.joinpath(*module.split("."))
    if (file := base.with_suffix(".py")).is_file():
        return [file]
    init = base / "__init__.py"
    if not init.is_file():
        return sorted(base.glob("*.py")) if base.is_dir() else []
    return [init] if _imports(init) or module == "mvmodel" else sorted(base.glob("*.py"))


@cache
def _tree(path: Path, stamp: tuple[int, int]) -> ast.Module:
    return ast.parse(path.read_text())


def _parsed(path: Path) -> ast.Module:
    stat = path.stat()
    return _tree(path, (stat.st_mtime_ns, stat.st_size))


def _imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.startswith("mvmodel.")]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mvmodel"):
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def _meaning(path: Path) -> str:
    """The source as its syntax tree without docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node, False
        ):
            node.body = node.body[1:]
    return ast.dump(tree)
