"""`code_version`: a hash of the code that a result depends on, computed by reading sources, never by importing them.

A stage names the library modules that it calls. Every `mvmodel` module that these import, directly or not, counts.
Comments, docstrings and formatting do not: tidying up a file makes no result stale.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from mvmodel.files import hash_value, user_cache_folder, write_json

PACKAGE = Path(__file__).parent
NOT_FOLLOWED = ("mvmodel", "mvmodel.packs")
"""Packages that add nothing to a closure. `mvmodel` itself holds the version and lazy exports. A pack's hash is part of
every recipe, and `mvmodel.packs` imports all models of the library: following it would make trained adapters stale
whenever the scorer changes. What a source loads from a pack counts instead (`PACK_MODELS`)."""
PACK_MODELS = {"scorer": "mvmodel.metrics.scorer", "segmenter": "mvmodel.segmentation.segmenter"}
"""Methods of `Pack` that return a model of this library -> the module that implements the model."""
IMPLEMENTATIONS = {"mvmodel.backends.backend": "mvmodel.backends.load"}
"""Interfaces -> the module that imports their implementations, which count wherever the interface does."""
SAMPLING_MODULES = tuple(
    f"mvmodel.backends.image_unet.{name}" for name in ("build", "first_frame", "long_video", "pipeline")
)
"""Modules of a backend that training never runs, although the class that it trains through imports them."""
NAMED_LIBRARIES = (
    "accelerate", "av", "dagster", "decord", "diffusers", "mvmodel", "numpy", "open_clip_torch", "pandas",
    "opencv-python-headless", "scikit-learn", "segment_anything", "torch", "transformers",
)  # fmt: skip


def code_version(*modules: str | Path, files: Iterable[Path | str] = (), without: Iterable[str] = ()) -> str:
    """Hash of the sources of `modules`, of every `mvmodel` module that they import, and of `files`; 12 characters.

    modules: names such as "mvmodel.motion.grouping", or paths of sources outside the library. A package whose
    `__init__` imports nothing stands for all of its modules. files: sources whose imports are not followed. without:
    modules that are not followed, so that they do not count, nor what they alone import.

    Raises ModuleNotFoundError when the library has no module of that name.
    """
    return _library().code_version(*modules, files=files, without=without)


def import_closure(*modules: str | Path, without: Iterable[str] = ()) -> set[Path]:
    """Source files of `modules` and of every `mvmodel` module that they import, directly or not."""
    return _library().import_closure(*modules, without=without)


@cache
def library_versions() -> dict[str, str]:
    """Installed versions of the third-party libraries that results depend on, by name."""
    versions = {}
    for name in NAMED_LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@dataclass(frozen=True)
class Source:
    """One source file: hash of its bytes, hash of its code, modules it may import, modules it loads through a pack."""

    content: str
    code: str
    imports: tuple[str, ...]
    pack_models: tuple[str, ...]


class SourceTree:
    """The sources of a package; each file is read once per instance, and parsed only if the memo does not know it.

    package: the folder of the package. memo: a JSON file that keeps the parsed sources between processes, or None. An
    entry is used only if it was made from the same bytes, by this code and this Python; a memo that cannot be read or
    written is ignored.
    """

    def __init__(self, package: Path, memo: Path | None = None) -> None:
        self.package, self.memo = Path(package), memo
        self._sources: dict[Path, Source] = {}
        self._neighbours: dict[Path, tuple[Path, ...]] = {}
        self._stamp = hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode()).hexdigest()
        self._remembered = self._read_memo()

    def code_version(self, *modules: str | Path, files: Iterable[Path | str] = (), without: Iterable[str] = ()) -> str:
        """See the function `code_version`."""
        digest = hashlib.sha256()
        sources = [(Path(file), self._read(Path(file))) for file in files]
        through_packs = {module for _, source in sources for module in source.pack_models}
        for path in sorted(self.import_closure(*modules, *through_packs, without=without)):
            name = path.relative_to(self.package.parent).as_posix() if self._contains(path) else path.name
            digest.update(f"{name}\0{self._read(path).code}\n".encode())
        for path, source in sources:
            digest.update(f"{path.name}\0{source.code}\n".encode())
        self._write_memo()
        return digest.hexdigest()[:12]

    def import_closure(self, *modules: str | Path, without: Iterable[str] = ()) -> set[Path]:
        """See the function `import_closure`."""
        closure: set[Path] = set()
        skipped = {path for module in without for path in self._files_of(module)}
        queue = [path for module in modules for path in self._files_of(module)]
        while queue:
            path = queue.pop()
            if path not in closure and path not in skipped:
                closure.add(path)
                queue.extend(self._imported(path))
        return closure

    def _files_of(self, module: str | Path) -> list[Path]:
        """The files of a module, or of a package: its `__init__`, or all of its modules where that imports nothing."""
        path = module if isinstance(module, Path) else self._find(module)
        if path is None:
            raise ModuleNotFoundError(f"code_version: there is no module {module} in {self.package}")
        is_bare_package = path.name == "__init__.py" and not self._read(path).imports
        return sorted(path.parent.glob("*.py")) if is_bare_package else [path]

    def _imported(self, path: Path) -> tuple[Path, ...]:
        """The files that one file imports."""
        if path not in self._neighbours:
            source = self._read(path)
            names = [name for name in source.imports if not _is_skipped(name)] + list(source.pack_models)
            names += [IMPLEMENTATIONS[name] for name in source.imports if name in IMPLEMENTATIONS]
            files = dict.fromkeys(self._find(name) for name in names)
            self._neighbours[path] = tuple(file for file in files if file is not None)
        return self._neighbours[path]

    def _find(self, module: str) -> Path | None:
        """The file of a module or package; None where `module` is a name inside a module."""
        base = self.package.parent.joinpath(*module.split("."))
        return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)

    def _read(self, path: Path) -> Source:
        if path not in self._sources:
            text = path.read_bytes()
            content = hashlib.sha256(text).hexdigest()
            source = self._remembered.get(str(path))
            if source is None or source.content != content:
                source = self._parse(path, text, content)
                self._remembered[str(path)] = source
                self._changed = True
            self._sources[path] = source
        return self._sources[path]

    def _parse(self, path: Path, text: bytes, content: str) -> Source:
        tree = ast.parse(text)
        package = ".".join(path.parent.relative_to(self.package.parent).parts) if self._contains(path) else ""
        nodes = list(_walk(tree))
        imports = dict.fromkeys(name for node in nodes for name in _imports(node, package, self.package.name))
        for node in ast.walk(tree):  # an interface counts even if it is imported for its type alone
            names = _imports(node, package, self.package.name)
            imports |= dict.fromkeys(name for name in names if name in IMPLEMENTATIONS)
        models = sorted({model for node in nodes if (model := _pack_model(node))})
        _remove_docstrings(tree)
        code = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
        return Source(content, code, tuple(imports), tuple(models))

    def _contains(self, path: Path) -> bool:
        return path.is_relative_to(self.package)

    _changed = False

    def _read_memo(self) -> dict[str, Source]:
        if self.memo is None:
            return {}
        try:
            memo = json.loads(self.memo.read_text())
            if memo["stamp"] != self._stamp:
                return {}
            return {
                path: Source(entry["content"], entry["code"], tuple(entry["imports"]), tuple(entry["pack_models"]))
                for path, entry in memo["sources"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _write_memo(self) -> None:
        if self.memo is None or not self._changed:
            return
        self._changed = False
        entries = {path: asdict(source) for path, source in self._remembered.items()}
        try:
            write_json(self.memo, {"stamp": self._stamp, "sources": entries})
        except OSError:
            self.memo = None


@cache
def _library() -> SourceTree:
    try:
        memo = user_cache_folder() / "code_version" / f"{hash_value(str(PACKAGE))[:16]}.json"
    except RuntimeError:  # a user without a home folder
        memo = None
    return SourceTree(PACKAGE, memo)


def _is_skipped(module: str) -> bool:
    return module in NOT_FOLLOWED or module.startswith("mvmodel.packs.")


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those below `if TYPE_CHECKING:`, which no program ever runs."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for alternative in child.orelse:
                yield from _walk(alternative)
        else:
            yield from _walk(child)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _imports(node: ast.AST, package: str, root: str) -> list[str]:
    """Names that an import statement may load from the package `root`; some are no modules but names inside one."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:  # relative to the package that the file is in
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *filter(None, [base])])
        names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
    else:
        return []
    return [name for name in names if name == root or name.startswith(f"{root}.")]


def _pack_model(node: ast.AST) -> str | None:
    """The module behind a call such as `pack.scorer()`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
        return PACK_MODELS.get(node.func.attr)
    return None


def _remove_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            match node.body[0]:
                case ast.Expr(value=ast.Constant(value=str())):
                    node.body = node.body[1:]
