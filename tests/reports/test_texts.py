from __future__ import annotations

import numpy as np
import pandas as pd

from mvmodel.metrics.report_card import summarise
from mvmodel.reports import texts


def card(full: list[float], off: list[float]) -> pd.DataFrame:
    rows = [{"condition": "full", "iou": value} for value in full] + [
        {"condition": "no_mask", "iou": value} for value in off
    ]
    return summarise(pd.DataFrame(rows))


def test_the_verdict_follows_the_figures():
    assert "do not touch: the mask term adds 0.600" in texts.verdict(card([0.8, 0.7, 0.9], [0.2, 0.1, 0.3]))
    assert "do not separate the two" in texts.verdict(card([0.9, 0.3, 0.4], [0.5, 0.2, 0.3]))
    assert "brings nothing: the difference is -0.100" in texts.verdict(card([0.3, 0.4], [0.4, 0.5]))
    assert texts.verdict(card([0.5], [])).endswith("IoU of 0.500.")
    assert "not measured" in texts.verdict(card([], [0.5]))


def test_numbers_that_are_not_there_are_dashes():
    assert [texts.number(value) for value in (None, np.nan, 0.12345)] == ["–", "–", "0.123"]
