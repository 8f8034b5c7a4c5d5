"""Measurements in a process that several of them share."""

from __future__ import annotations

import os
import time

import pytest

from benchmarks.measurements import Figures, SharedProcess


def find_process(_: object = None) -> Figures:
    return {"process": os.getpid()}


@pytest.mark.slow
def test_a_process_is_shared_until_a_measurement_fails():
    with SharedProcess() as process:
        first = process.run(find_process)
        assert process.run(find_process) == first != find_process()
        assert "ZeroDivisionError" in process.run(divmod, 1, 0)["failed"]
        second = process.run(find_process)
        assert second != first
        assert process.run(os._exit, 3) == {"failed": "its process ended with exit code 3"}
        assert "took more than 0 s" in process.run(time.sleep, 60, seconds=0.2)["failed"]
        assert process.run(find_process)["process"] not in (first["process"], second["process"])
