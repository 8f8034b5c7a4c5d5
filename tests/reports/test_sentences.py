from __future__ import annotations

import numpy as np
import pandas as pd

from mvmodel.metrics.report_card import summarise
from mvmodel.reports.formatting import format_number
from mvmodel.reports.sentences import describe_adherence


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
