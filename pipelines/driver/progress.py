"""Progress for people and step timings for the summary, when the driver runs all steps in its own process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

REPORT_INTERVAL = 20.0
"""Seconds between two log lines of a training. Every line is a database row, so there is none per training step."""


@dataclass
class StageTimings:
    """How long the steps of this process took.

    live: whether progress is printed. total: seconds inside the steps' own functions. steps: seconds by asset and
    partition. ended: when each step ended, in seconds since 1970.
    """

    live: bool = False
    total: float = 0.0
    steps: dict[tuple[str, str | None], float] = field(default_factory=dict)
    ended: dict[tuple[str, str | None], float] = field(default_factory=dict)

    def add(self, name: str, partition: str | None, seconds: float) -> None:
        self.total += seconds
        self.steps[name, partition] = self.steps.get((name, partition), 0.0) + seconds
        self.ended[name, partition] = time.time()


step_timings = StageTimings()


def print_progress(text: str) -> None:
    """Print a line if a driver runs the steps in this process; other processes print nothing."""
    if step_timings.live:
        print(text, flush=True)


def throttled(context: Any, name: str, seconds: float = REPORT_INTERVAL) -> Callable[[dict[str, Any]], None]:
    """A callback for `finetune` that logs the values it receives under `name`, at most once in `seconds`."""
    last = time.monotonic()

    def report(values: dict[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            line = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
            context.log.info(f"{name}: {line}")

    return report
