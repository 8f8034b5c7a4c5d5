"""What importing costs, as shares in one run: seconds of a busy machine say nothing."""

from __future__ import annotations

import pytest

from benchmarks.imports import measure_imports


@pytest.mark.slow
def test_the_code_version_costs_nothing_to_speak_of():
    cpu = measure_imports(repeats=2)
    assert cpu["code_version_share"] < 0.1
    assert cpu["definitions_to_dagster"] < 2.2  # about 1.75; a heavy library such as torch adds 1 or more
    assert cpu["mvmodel_help"] < cpu["dagster"]
