"""What a training reports while it runs: `curve.jsonl`, `metrics.jsonl`, and event files for TensorBoard.

The curve has the rows that reports plot. `metrics.jsonl` has the same and, of every row, when it was written, how long
the training has run and the learning rate. accelerate's tracker writes the event files if tensorboard is installed
(`pip install "mvmodel[tensorboard]"`); `tensorboard --logdir FOLDER` shows them while the training runs.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accelerate.tracking import TensorBoardTracker
from accelerate.utils import is_tensorboard_available

CURVE_FILE, METRICS_FILE, TENSORBOARD_FOLDER = "curve.jsonl", "metrics.jsonl", "tensorboard"


class MetricsLog:
    """Adds rows to the files of one training in `folder`; a resumed training adds to what is there."""

    def __init__(self, folder: Path) -> None:
        self._started = time.monotonic()
        self._files = {name: (folder / name).open("a") for name in (CURVE_FILE, METRICS_FILE)}
        self._tracker = None
        if is_tensorboard_available():
            self._tracker = TensorBoardTracker(TENSORBOARD_FOLDER, folder)
            self._tracker.start()

    def write(self, row: dict[str, Any], learning_rate: float) -> None:
        """Add a row with its `step`. It is in the files when this returns."""
        times = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._started, 2),
        }
        rows = {CURVE_FILE: row, METRICS_FILE: {**times, "learning_rate": learning_rate, **row}}
        for name, file in self._files.items():
            file.write(json.dumps(rows[name]) + "\n")
            file.flush()
        if self._tracker is not None:
            numbers = {name: value for name, value in row.items() if isinstance(value, int | float) and name != "step"}
            self._tracker.log({"learning_rate": learning_rate, **numbers}, step=row["step"])
            self._tracker.writer.flush()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: Any) -> None:
        for file in self._files.values():
            file.close()
        if self._tracker is not None:
            self._tracker.finish()
