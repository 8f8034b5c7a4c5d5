"""Fixtures that several test folders share: rendered clips with ground truth, the shipped pack, and a browser."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A pass of the independent judge takes a second: tests that are not about it go without, in other processes too.
os.environ.setdefault("MVMODEL_U2NETP", "none")
REPOSITORY = Path(__file__).resolve().parent.parent
LONGEST_FILES = (
    "tests/pipelines/driver/test_run.py",
    "tests/experiments/test_run.py",
    "tests/foundation/test_stages.py",
    "tests/training/test_finetune.py",
    "tests/benchmarks/test_cost.py",
    "tests/browser/test_studio.py",
    "tests/browser/test_ui.py",
    "tests/pipelines/test_experiments.py",
    "tests/pipelines/test_requests.py",
    "tests/cli/test_readme.py",
    "tests/packs/test_full_size.py",
    "tests/benchmarks/test_rehearsal.py",
    "tests/segmentation/test_full_size.py",
    "tests/benchmarks/test_imports.py",
    "tests/segmentation/test_video_segmenter.py",
    "tests/pipelines/store/test_artifact_store.py",
    "tests/benchmarks/test_sampling.py",
    "tests/benchmarks/test_drift.py",
    "tests/training/test_processes.py",
    "tests/segmentation/test_track.py",
    "tests/benchmarks/test_peers.py",
    "tests/benchmarks/test_two_objects.py",
    "tests/metrics/test_calibration.py",
    "tests/cli/test_masks.py",
    "tests/cli/test_cli.py",
)
"""Files that take longest, the longest first. One that took minutes and began last would leave other processes idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files: those of `LONGEST_FILES`, then by their number of tests. The order within a file stays."""
    if missing := [file for file in LONGEST_FILES if not (REPOSITORY / file).exists()]:
        raise pytest.UsageError(f"tests/conftest.py lists {missing[0]} in LONGEST_FILES, which does not exist")
    places = {file: place for place, file in enumerate(LONGEST_FILES)}
    files = [Path(os.path.relpath(item.path, REPOSITORY)).as_posix() for item in items]  # some may lie elsewhere
    counts = Counter(files)
    keys = {file: (places.get(file, len(places)), -counts[file], file) for file in counts}
    items[:] = [item for _, item in sorted(zip(files, items, strict=True), key=lambda entry: keys[entry[0]])]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout, for tests of what is shipped beside the package."""
    return REPOSITORY


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; skips, with the reason, where there is none."""
    pytest.importorskip("playwright.sync_api", reason="the extra `browser` (playwright) is not installed")
    for name in (os.environ.get("MVMODEL_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name) if name else None
        if found:
            return found
    pytest.skip("no Chromium here: apt-get install chromium, or set MVMODEL_CHROMIUM to its path")


@pytest.fixture(scope="session")
def tiny_pack():
    """The shipped pack, loaded once; skips, with the reason, until it has been trained."""
    if not (REPOSITORY / "mvmodel" / "packs" / "tiny" / "pack.json").exists():
        pytest.skip("mvmodel/packs/tiny has not been trained yet: make foundation")
    from mvmodel.packs import load_pack

    return load_pack("tiny")


@pytest.fixture(scope="session")
def small_pack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random pack of small models in the form of a real one."""
    from mvmodel.packs.random_pack import write_random_pack

    return write_random_pack("small", tmp_path_factory.mktemp("packs") / "small")


@pytest.fixture
def small_pack(small_pack_folder: Path):
    """The small random pack, loaded anew for every test."""
    from mvmodel.packs import load_pack

    return load_pack(small_pack_folder)


@pytest.fixture(scope="session")
def random_adapter(small_pack_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an adapter of random weights for the small pack."""
    import torch

    from mvmodel.model.adapter import MotionMaskAdapter
    from mvmodel.packs import load_pack

    torch.manual_seed(0)
    adapter = MotionMaskAdapter.for_unet(load_pack(small_pack_folder).unet(), mask_width=4)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    adapter.save_pretrained(folder)
    return folder
