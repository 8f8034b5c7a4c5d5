"""Progress for people and step timings for the summary, when the driver runs all steps in its own process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

REPORT_INTERVAL = 20.0
"""Seconds between two log lines of a training. Every line is a database row, so there is none per training step."""


@dataclass
class StageTimings:
    """How long the steps of this process took.

    live: whether progress is printed. log_format: how, as "text" for people or "json" for programs. total: seconds
    inside the steps' own functions. steps: seconds by asset and partition. ended: when each step ended, in
    seconds since 1970.
    """

    live: bool = False
    log_format: str = "text"
    total: float = 0.0
    steps: dict[tuple[str, str | None], float] = field(default_factory=dict)
    ended: dict[tuple[str, str | None], float] = field(default_factory=dict)

    def add(self, name: str, partition: str | None, seconds: float) -> None:
        self.total += seconds
        self.steps[name, partition] = self.steps.get((name, partition), 0.0) + seconds
        self.ended[name, partition] = time.time()

    def forget_steps(self) -> None:
        """Begin another phase; the total stays."""
        self.steps.clear()
        self.ended.clear()


step_timings = StageTimings()


def print_progress(text: str, **values: Any) -> None:
    """Print a line if a driver runs the steps in this process; other processes print nothing.

    values: what the text says, by name, for programs: with `--log-format json`, a line is a JSON object with `time`,
    `message` and these.
    """
    if not step_timings.live:
        return
    if step_timings.log_format == "json":
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "message": " ".join(text.split())}
        text = json.dumps({**line, **values}, ensure_ascii=False)
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
