"""Comparisons for conclusions: paired differences with intervals, said in words that depend on the figures alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmodel.metrics.report_card import bootstrap_interval
from mvmodel.metrics.score import METRICS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Difference:
    """Mean of a minus mean of b over the same requests, with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def certain(self) -> bool:
        """The interval does not hold 0."""
        return self.pairs > 1 and (self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        spread = f"95 % interval {self.low:+.3f} to {self.high:+.3f}, " if math.isfinite(self.low) else ""
        return f"{self.mean:+.3f} ({spread}{self.pairs} {'pair' if self.pairs == 1 else 'pairs'})"


def paired(a: pd.DataFrame, b: pd.DataFrame, metric: str, on: tuple[str, ...] = ("name", "seed")) -> Difference | None:
    """a minus b in `metric`, video by video of the same `on`; None when no pair has both."""
    if metric not in a.columns or metric not in b.columns:
        return None
    keys = list(on)
    both = a[[*keys, metric]].merge(b[[*keys, metric]], on=keys, suffixes=("_a", "_b")).dropna()
    if both.empty:
        return None
    values = (both[f"{metric}_a"] - both[f"{metric}_b"]).to_numpy(float)
    return Difference(float(values.mean()), *bootstrap_interval(values), pairs=len(values))


def label(metric: str) -> str:
    return METRICS[metric].label if metric in METRICS else metric.replace("_", " ")


def claim(what: str, difference: Difference | None, wanted: float, unit: str = "") -> str:
    """Whether a difference is at least `wanted` above 0 (or below 0 for a negative `wanted`), and how surely."""
    if difference is None:
        return f"{what}: not measured."
    reached = difference.mean >= wanted if wanted >= 0 else difference.mean <= wanted
    if not reached:
        verdict = "does not come out here"
    elif difference.certain:
        verdict = "comes out, and the interval leaves 0 out"
    else:
        verdict = "comes out in the mean, though so few videos do not settle it"
    return f"{what}: {difference}{unit}; it {verdict}."


def mean_of(table: pd.DataFrame, metric: str) -> float:
    return float(table[metric].mean()) if metric in table.columns and len(table) else float("nan")


def turning_point(levels: np.ndarray, values: np.ndarray, share: float) -> float | None:
    """The first level at which a figure is down to `share` of its value at the first level; None when it never is."""
    low = np.flatnonzero(values < share * values[0])
    return float(levels[low[0]]) if len(low) else None
