"""What tests measure in a fresh process, which imports this file and nothing heavy."""

from __future__ import annotations

from benchmarks.measurements import measure_peak_memory


def figure(number: int) -> dict:
    import os

    return {"value": number**2, "process": os.getpid()}


def megabytes(count: int) -> dict:
    import numpy as np

    np.ones(2 * count * 2**17)  # what loading left behind is no part of it
    return {"lifted": measure_peak_memory(lambda: np.ones(count * 2**17).sum())}
