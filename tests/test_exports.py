"""`mvmodel` offers its names lazily."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mvmodel


@pytest.mark.parametrize("name", mvmodel.__all__)
def test_every_exported_name_can_be_imported(name):
    assert name in dir(mvmodel)
    assert getattr(mvmodel, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'melt'"):
        getattr(mvmodel, "melt")  # noqa: B009


def test_importing_mvmodel_imports_nothing_heavy():
    code = (
        "import mvmodel, sys; print(*({'torch', 'cv2', 'numpy', 'pandas', 'pydantic', 'dagster'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
