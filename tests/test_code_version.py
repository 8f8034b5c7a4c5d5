"""The hash of the code that a result depends on: what changes it, what does not, and what it costs."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

from mvmodel.code_version import PACK_MODELS, PACKAGE, SAMPLING_MODULES, SourceTree, code_version, import_closure

FILES = {
    "__init__.py": '__version__ = "1"\n',
    "stage.py": "from mvmodel.shapes import circle\n\ndef run():\n    return circle.area(2)\n",
    "shapes/__init__.py": '"""Shapes."""\n',
    "shapes/circle.py": "import math\n\nfrom mvmodel.shapes import units\n\ndef area(r):\n    return math.pi * r * r\n",
    "shapes/units.py": "METRE = 1\n",
    "shapes/square.py": "def area(a):\n    return a * a\n",
    "packs/__init__.py": "from mvmodel.packs.loader import Pack\n",
    "packs/loader.py": "from mvmodel.metrics.scorer import Scorer\n\nclass Pack: ...\n",
    "metrics/scorer.py": "class Scorer: ...\n",
    "segmentation/segmenter.py": "class Segmenter: ...\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "mvmodel"
    for name, text in FILES.items():
        write(folder / name, text)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def version(package: Path, *modules: str, memo: Path | None = None) -> str:
    return SourceTree(package, memo).code_version(*(modules or ("mvmodel.stage",)))


def names(package: Path, *modules: str) -> set[str]:
    return {path.relative_to(package).as_posix() for path in SourceTree(package).import_closure(*modules)}


@pytest.mark.parametrize("file", ["stage.py", "shapes/circle.py", "shapes/units.py"])
def test_a_changed_function_in_the_module_or_in_what_it_imports_changes_it(package: Path, file: str) -> None:
    before = version(package)
    write(package / file, FILES[file] + "\ndef more():\n    return 1\n")
    assert version(package) != before


def test_what_is_not_imported_does_not(package: Path) -> None:
    before = version(package)
    write(package / "shapes/square.py", "def area(a):\n    return a ** 2\n")
    write(package / "__init__.py", '__version__ = "2"\n')
    assert version(package) == before


def test_comments_docstrings_and_formatting_do_not(package: Path) -> None:
    before = version(package)
    write(
        package / "shapes/circle.py",
        '"""About circles."""\nimport math\nfrom mvmodel.shapes import (\n    units,\n)\n\n\n'
        'def area(r):  # squared\n    """The area."""\n    return (math.pi * r\n            * r)\n',
    )
    assert version(package) == before


def test_imports_are_followed_inside_functions_and_relative_ones_but_not_for_types_alone(package: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mvmodel.shapes import square\n"
    write(package / "stage.py", text + "def run():\n    import mvmodel.shapes.circle\n")
    write(package / "shapes/circle.py", "from . import units\n")
    assert names(package, "mvmodel.stage") == {"stage.py", "shapes/circle.py", "shapes/__init__.py", "shapes/units.py"}


def test_a_pack_counts_by_what_is_loaded_from_it(package: Path) -> None:
    write(package / "stage.py", "from mvmodel.packs import Pack\n\ndef run(pack):\n    return pack.segmenter()\n")
    assert names(package, "mvmodel.stage") == {"stage.py", "segmentation/segmenter.py"}
    outside = package.parent / "asset.py"
    write(outside, "def build(pack):\n    return pack.scorer()\n")
    before = SourceTree(package).code_version(files=[outside])
    write(package / "metrics/scorer.py", "class Scorer:\n    batch = 2\n")
    assert SourceTree(package).code_version(files=[outside]) != before


def test_a_package_without_imports_stands_for_its_modules_and_a_missing_module_is_an_error(package: Path) -> None:
    assert names(package, "mvmodel.shapes") >= {"shapes/circle.py", "shapes/square.py"}
    with pytest.raises(ModuleNotFoundError, match=r"mvmodel\.shaps"):
        version(package, "mvmodel.shaps")


def test_the_memo_spares_parsing_and_never_gives_an_old_answer(package: Path, tmp_path: Path, monkeypatch) -> None:
    memo, circle = tmp_path / "memo.json", package / "shapes/circle.py"
    before = version(package, memo=memo)
    stat = circle.stat()
    parsed: list[bytes] = []
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda text: parsed.append(text) or parse(text))
    assert version(package, memo=memo) == before and not parsed
    # The same size and time of change: the content decides.
    write(circle, FILES["shapes/circle.py"].replace("r * r", "r + r"))
    os.utime(circle, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = version(package, memo=memo)
    assert changed != before and len(parsed) == 1
    for text in ("", "[]", '{"stamp": 1}', json.dumps({**json.loads(memo.read_text()), "sources": {"a": 1}})):
        memo.write_text(text)
        assert version(package, memo=memo) == changed
    memo.unlink()
    memo.mkdir()  # cannot be written
    assert version(package, memo=memo) == changed


def test_each_source_is_parsed_once_however_many_stages_share_it(package: Path, monkeypatch) -> None:
    tree, parsed, parse = SourceTree(package), [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda text: parsed.append(text) or parse(text))
    for _ in range(3):
        tree.code_version("mvmodel.stage")
        tree.code_version("mvmodel.shapes.circle")
    assert len(parsed) == len(set(parsed)) == 4


def test_the_models_of_a_pack_are_where_the_table_says() -> None:
    from mvmodel.packs import Pack

    for method, module in PACK_MODELS.items():
        assert hasattr(Pack, method)
        assert import_closure(module)


def closure(*modules: str, without: tuple[str, ...] = ()) -> set[str]:
    return {path.relative_to(PACKAGE).as_posix() for path in import_closure(*modules, without=without)}


def test_an_interface_counts_with_its_implementations() -> None:
    files = closure("mvmodel.generation.requests")
    assert {"backends/image_unet/denoiser.py", "backends/image_unet/first_frame.py", "model/attention.py"} <= files


def test_an_interface_that_is_imported_for_its_type_alone_counts(package: Path) -> None:
    write(package / "backends/backend.py", "class Backend: ...\n")
    write(package / "backends/load.py", "from mvmodel.backends.unet import Unet\n")
    write(package / "backends/unet.py", "class Unet: ...\n")
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mvmodel.backends.backend import Backend\n"
    write(package / "stage.py", text)
    assert {"backends/load.py", "backends/unet.py"} <= names(package, "mvmodel.stage")


def test_training_does_not_depend_on_how_videos_are_sampled() -> None:
    files = closure("mvmodel.training.finetune", without=SAMPLING_MODULES)
    sampling = {name.removeprefix("mvmodel.").replace(".", "/") + ".py" for name in SAMPLING_MODULES}
    assert {"backends/image_unet/loss.py", "backends/image_unet/backend.py", "model/attention.py"} <= files
    assert not files & {"backends/image_unet/denoiser.py", "metrics/scorer.py", "segmentation/segmenter.py"}
    assert not closure("mvmodel.backends.image_unet.trainee", without=["mvmodel.backends.load"]) & sampling


def test_the_librarys_own_versions() -> None:
    assert code_version("mvmodel.metrics.score") != code_version("mvmodel.training.finetune")
    assert code_version("mvmodel.metrics.score") == code_version("mvmodel.metrics.score")
