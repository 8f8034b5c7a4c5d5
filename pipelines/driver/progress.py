"""How a person and a summary learn what the steps do: a line now and then, and how long each took.

A line of a run's log is a row of a database, so nobody writes one a batch; the terminal is told by `say`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SECONDS = 20.0


@dataclass
class StageTimings:
    """What the steps of this process did. live: whether to print. inside: seconds spent in steps' own functions."""

    live: bool = False
    inside: float = 0.0
    steps: dict[tuple[str, str | None], float] = field(default_factory=dict)

    def add(self, name: str, partition: str | None, seconds: float) -> None:
        self.inside += seconds
        self.steps[name, partition] = self.steps.get((name, partition), 0.0) + seconds


step_timings = StageTimings()


def print_progress(text: str) -> None:
    """A line on the terminal of a driver that runs the steps in its own process; nothing elsewhere."""
    if step_timings.live:
        print(text, flush=True)


def throttled(context: Any, what: str, seconds: float = SECONDS) -> Callable[[dict[str, Any]], None]:
    """A report function for `finetune` that passes on the metrics it is given at most every `seconds`."""
    last = time.monotonic()

    def report(metrics: dict[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in metrics.items())
            context.log.info(f"{what}: {shown}")
            print_progress(f"    {what}: {shown}")

    return report
