"""Fixtures that several test folders share: rendered clips with ground truth, the shipped pack, and a browser."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A pass of the independent judge takes a second: tests that are not about it go without, in other processes too.
os.environ.setdefault("MVMODEL_U2NETP", "none")
REPOSITORY = Path(__file__).resolve().parent.parent


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
