"""Libraries are quiet in command lines, and only they."""

from __future__ import annotations

import os
import warnings

import pytest

from mvmodel import libraries
from mvmodel.libraries import quiet_libraries, show_download_bars

VARIABLES = (*libraries._ENVIRONMENT, libraries._BARS_VARIABLE)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # what the test sets is taken back
        monkeypatch.delenv(name)


def _warn(category: type[Warning], module: str) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet_libraries()
        warnings.warn_explicit("text", category, "file.py", 1, module=module, registry={})
    return caught


@pytest.mark.parametrize("module", ["diffusers.pipelines.x", "transformers", "huggingface_hub.file_download"])
def test_warnings_of_libraries_are_ignored(module: str) -> None:
    assert not _warn(FutureWarning, module)


@pytest.mark.parametrize(
    ("category", "module"),
    [(UserWarning, "mvmodel.video.decode"), (RuntimeWarning, "torch.nn"), (FutureWarning, "diffusers_of_mine")],
)
def test_other_warnings_are_shown(category: type[Warning], module: str) -> None:
    assert len(_warn(category, module)) == 1


def test_a_users_own_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSERS_VERBOSITY", "debug")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with warnings.catch_warnings():
        quiet_libraries()
    show_download_bars()
    assert os.environ["DIFFUSERS_VERBOSITY"] == "debug" and os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] == "1"


def test_downloads_show_their_bars() -> None:
    with warnings.catch_warnings():
        quiet_libraries()
    assert "HF_HUB_DISABLE_PROGRESS_BARS" in os.environ
    show_download_bars()
    assert "HF_HUB_DISABLE_PROGRESS_BARS" not in os.environ
