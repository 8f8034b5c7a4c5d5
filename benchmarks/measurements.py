"""Measurements in processes of their own, logged one by one, so that an interrupted benchmark resumes."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mvmodel.files import hash_value

Figures = dict[str, Any]
"""What one measurement gives: numbers by name."""


class MeasurementLog:
    """A JSON-lines file with one measurement per line. Only lines with the same `recipe` are reused."""

    def __init__(self, file: Path, recipe: dict[str, Any]) -> None:
        self.file, self.recipe = Path(file), hash_value(recipe)[:16]

    def rows(self, recipe: str | None = None) -> dict[str, Figures]:
        """Key -> figures under this log's recipe, or another's hash. The last line of a key counts."""
        return {row["key"]: row["figures"] for row in self._lines() if row["recipe"] == (recipe or self.recipe)}

    def last_recipe(self) -> str | None:
        """The hash of the recipe of the last line, or None if there is no line."""
        lines = self._lines()
        return lines[-1]["recipe"] if lines else None

    def _lines(self) -> list[dict[str, Any]]:
        """All lines; incomplete ones are ignored."""
        lines = []
        for line in self.file.read_text().splitlines() if self.file.exists() else ():
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return lines

    def add(self, key: str, figures: Figures) -> None:
        """Append a measurement; it is on disk when this returns."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        is_cut_off = self.file.exists() and not self.file.read_bytes().endswith(b"\n")
        with open(self.file, "a") as file:
            file.write("\n" * is_cut_off + json.dumps({"recipe": self.recipe, "key": key, "figures": figures}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def measure_apart(self, key: str, measure: Callable[..., Figures], *arguments: Any) -> Figures:
        """The figures of `measure(*arguments)` in a fresh process, unless the log has them; progress goes to stderr."""
        return self.measure_here(key, _measure_in_fresh_process, measure, *arguments)

    def measure_here(self, key: str, measure: Callable[..., Figures], *arguments: Any) -> Figures:
        """The same in this process, which saves loading models again."""
        rows = self.rows()
        if key in rows:
            return rows[key]
        started = time.perf_counter()
        figures = measure(*arguments)
        self.add(key, figures)
        print(f"{key}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        return figures


def _measure_in_fresh_process(measure: Callable[..., Figures], *arguments: Any) -> Figures:
    load = os.getloadavg()[0]
    return {**run_in_fresh_process(measure, *arguments), "load_before": load}


def run_in_fresh_process(measure: Callable[..., Figures], *arguments: Any) -> Figures:
    """`measure(*arguments)` in a process that has loaded nothing yet; function and arguments must be picklable."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


class SharedProcess:
    """A process apart for one measurement after the other, which saves importing the libraries every time.

    It is replaced after a measurement that failed, broke off or took too long, because its GPU may be in disorder.
    """

    def __init__(self) -> None:
        self._process: Any = None
        self._connection: Connection | None = None

    def __enter__(self) -> SharedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, measure: Callable[..., Figures], *arguments: Any, seconds: float = math.inf) -> Figures:
        """`measure(*arguments)`, both picklable; {"failed": reason} if it raises, crashes or takes more `seconds`."""
        if self._process is None:
            self._start()
        assert self._connection is not None
        self._connection.send((measure, arguments))
        try:
            arrived = self._connection.poll(None if seconds == math.inf else seconds)
            failure = f"took more than {seconds:.0f} s"
            figures: Figures = self._connection.recv() if arrived else {"failed": failure}
        except EOFError:
            self._process.join()
            figures = {"failed": f"its process ended with exit code {self._process.exitcode}"}
        if "failed" in figures:
            self.stop()
        return figures

    def stop(self) -> None:
        """End the process; the next `run` starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, other_end = context.Pipe()
        self._process = context.Process(target=_serve_measurements, args=(other_end,), daemon=True)
        self._process.start()
        other_end.close()


def _serve_measurements(connection: Connection) -> None:
    """Measure what `SharedProcess.run` sends, until its process ends."""
    with suppress(EOFError):
        while True:
            measure, arguments = connection.recv()
            try:
                connection.send(measure(*arguments))
            except Exception as error:
                connection.send({"failed": f"{type(error).__name__}: {error}"})


def measure_peak_memory(run: Callable[[], object]) -> float:
    """By how many MB this process's memory rises at its peak while `run` runs."""
    import resource

    try:
        Path("/proc/self/clear_refs").write_text("5")  # Reset the peak that loading models left.
        baseline = read_status("VmRSS")
        run()
        return read_status("VmHWM") - baseline
    except OSError:  # Not Linux, or not permitted: an earlier peak may hide some of the rise.
        baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        run()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - baseline


def read_status(name: str) -> float:
    """A value of /proc/self/status in MB."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) / 1024
