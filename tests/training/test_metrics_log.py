"""What a training writes while it runs."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from mvmodel.training import metrics_log
from mvmodel.training.metrics_log import CURVE_FILE, METRICS_FILE, TENSORBOARD_FOLDER, MetricsLog


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_are_in_both_files_at_once_and_a_resumed_training_adds_to_them(tmp_path: Path) -> None:
    rows = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25, "preview_failed": "ValueError: no"}]
    for row in rows:
        with MetricsLog(tmp_path) as log:
            log.write(row, 1e-4)
            assert read_rows(tmp_path / CURVE_FILE)[-1] == row
    assert read_rows(tmp_path / CURVE_FILE) == rows
    metrics = read_rows(tmp_path / METRICS_FILE)
    assert [{name: row[name] for name in before} for row, before in zip(metrics, rows, strict=True)] == rows
    assert all(row["learning_rate"] == 1e-4 and row["seconds"] >= 0 and "T" in row["time"] for row in metrics)


def test_without_tensorboard_there_are_the_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_log, "is_tensorboard_available", lambda: False)
    with MetricsLog(tmp_path) as log:
        log.write({"step": 1, "loss": 0.5}, 1e-4)
    assert {path.name for path in tmp_path.iterdir()} == {CURVE_FILE, METRICS_FILE}


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="the extra `tensorboard` is not installed")
def test_tensorboard_shows_every_number(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with MetricsLog(tmp_path) as log:
        for step in (1, 2):
            log.write({"step": step, "loss": 1 / step, "note": "text"}, 1e-4)
    events = EventAccumulator(str(tmp_path / TENSORBOARD_FOLDER))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 1.0), (2, 0.5)]
    assert set(events.Tags()["scalars"]) == {"loss", "learning_rate"}
