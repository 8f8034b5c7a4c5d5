"""Files: names that stay inside their folder, and what the libraries raise when a disk is full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mvmodel.files import is_disk_full, is_inside_name

FULL = Path("/dev/full")


@pytest.mark.parametrize("name", ["a", "a/b.txt", ".hidden", "...", "a b/ü", "ab:c", "-"])
def test_names_inside_their_folder(name: str) -> None:
    assert is_inside_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../a", "a/..", "a/../b", "/a", "//a", "a//b", "a/", "a\\b", "..\\a", "\\\\host\\a", "C:a",
        "c:/a", "a\0", "\n", None, 3, ["a"],
    ],
)  # fmt: skip
def test_names_that_leave_it(name: Any) -> None:
    assert not is_inside_name(name)


def _to_numpy() -> None:
    with FULL.open("wb", buffering=0) as file:
        np.save(file, np.zeros(1 << 16))


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "write",
    [
        lambda: FULL.write_text("x" * 100_000),
        _to_numpy,
        lambda: Image.new("RGB", (300, 300)).save(FULL, format="bmp"),
        lambda: pd.DataFrame({"a": range(100_000)}).to_parquet(FULL),
    ],
)
def test_a_full_disk_is_recognised_whatever_library_writes(write: Callable[[], Any]) -> None:
    with pytest.raises(Exception) as caught:
        write()
    assert is_disk_full(caught.value), repr(caught.value)


def test_causes_are_looked_at_and_other_errors_are_not_taken_for_it() -> None:
    failure = RuntimeError("the video cannot be stored")
    failure.__cause__ = OSError("589824 requested and 81792 written")
    assert is_disk_full(failure)
    for other in (FileNotFoundError(2, "No such file"), ValueError("3 requested"), MemoryError()):
        assert not is_disk_full(other)
