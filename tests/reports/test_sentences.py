from __future__ import annotations

import numpy as np
import pandas as pd

from mvmodel.metrics.report_card import summarise
from mvmodel.reports.formatting import format_number
from mvmodel.reports.sentences import describe_adherence, describe_tuning, describe_validation


def card(full: list[float], off: list[float]) -> pd.DataFrame:
    rows = [{"condition": "full", "iou": value} for value in full] + [
        {"condition": "no_mask", "iou": value} for value in off
    ]
    return summarise(pd.DataFrame(rows))


def test_the_verdict_follows_the_metrics():
    assert "do not overlap: the mask term adds 0.600" in describe_adherence(card([0.8, 0.7, 0.9], [0.2, 0.1, 0.3]))
    assert "few videos overlap" in describe_adherence(card([0.9, 0.3, 0.4], [0.5, 0.2, 0.3]))
    assert "does not help: the difference is -0.100" in describe_adherence(card([0.3, 0.4], [0.4, 0.5]))
    assert describe_adherence(card([0.5], [])).endswith("IoU of 0.500.")
    assert "not measured" in describe_adherence(card([], [0.5]))


def test_numbers_that_are_not_there_are_dashes():
    assert [format_number(value) for value in (None, np.nan, 0.12345)] == ["–", "–", "0.123"]


def curve(*losses):
    return [{"step": 10 * step, "loss": 0.2, "validation": loss} for step, loss in enumerate(losses)]


def test_the_held_out_loss_is_said_in_a_sentence():
    assert "falls from 0.3000 before tuning to 0.1000 at step 20" in describe_validation(curve(0.3, 0.2, 0.1))
    assert "lowest at step 10 (0.1000)" in describe_validation(curve(0.3, 0.1, 0.2))
    assert "rises from 0.1000" in describe_validation(curve(0.1, 0.2, 0.3))
    assert describe_validation([{"step": 10, "loss": 0.2}]) == ""


def test_tuning_is_compared_request_by_request():
    before = {"a": 0.5, "b": 0.7, "c": 0.6}
    rows = [{"condition": "not_tuned", "name": name, "iou": iou} for name, iou in before.items()]
    rows += [{"condition": "full", "name": name, "iou": iou + 0.1} for name, iou in before.items()]
    rows.append({"condition": "full", "name": "d", "iou": 0.0})
    text = describe_tuning(pd.DataFrame(rows))
    assert "IoU by +0.100 (95 % interval +0.100 to +0.100)" in text and "nothing" not in text
    unchanged = [{**row, "iou": 0.5 - 1e-6 * (row["condition"] == "full")} for row in rows]
    assert "IoU by +0.000 (95 % interval +0.000 to +0.000)" in describe_tuning(pd.DataFrame(unchanged))
    rows[0]["iou"] = 0.9
    assert "which may be nothing" in describe_tuning(pd.DataFrame(rows))
    assert describe_tuning(pd.DataFrame(rows[3:])) == ""
