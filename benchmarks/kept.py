"""Measurements that take turns in processes of their own and are kept one by one, so that a stopped run goes on."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mvmodel.files import hash_value

Figures = dict[str, Any]


class Kept:
    """Figures by key, a line of FILE each; only lines of the same `about` are known again."""

    def __init__(self, file: Path, about: dict[str, Any]) -> None:
        self.file, self.recipe = Path(file), hash_value(about)[:16]

    def rows(self) -> dict[str, Figures]:
        """Key -> what was measured under this recipe; the last of a key counts. A half-written line is none."""
        found: dict[str, Figures] = {}
        if not self.file.exists():
            return found
        for line in self.file.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if row["recipe"] == self.recipe:
                found[row["key"]] = row["figures"]
        return found

    def put(self, key: str, figures: Figures) -> None:
        """Keep a measurement, on disk before this returns."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        cut_off = self.file.exists() and not self.file.read_bytes().endswith(b"\n")
        with open(self.file, "a") as file:
            file.write("\n" * cut_off + json.dumps({"recipe": self.recipe, "key": key, "figures": figures}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def measured(self, key: str, measure: Callable[..., Figures], *given: Any) -> Figures:
        """`measure(*given)` in a fresh process, or what an earlier run kept of it; told on stderr."""
        return self.measured_here(key, _apart, measure, *given)

    def measured_here(self, key: str, measure: Callable[..., Figures], *given: Any) -> Figures:
        """The same in this process, which spares loading models again."""
        known = self.rows()
        if key in known:
            return known[key]
        began = time.perf_counter()
        figures = measure(*given)
        self.put(key, figures)
        print(f"{key}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        return figures


def _apart(measure: Callable[..., Figures], *given: Any) -> Figures:
    load = os.getloadavg()[0]
    return {**in_fresh_process(measure, *given), "load_before": load}


def in_fresh_process(measure: Callable[..., Figures], *given: Any) -> Figures:
    """`measure(*given)` in a process that has loaded nothing yet; both must be picklable."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *given).result()


def lifted(run: Callable[[], object]) -> float:
    """By how many MB `run` lifts this process's memory at its highest over what it holds now."""
    import resource

    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak that loading left
        before = _status("VmRSS")
        run()
        return _status("VmHWM") - before
    except OSError:  # not Linux, or not allowed: what loading once needed hides as much
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        run()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before


def _status(name: str) -> float:
    """A line of /proc/self/status in MB."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) / 1024
