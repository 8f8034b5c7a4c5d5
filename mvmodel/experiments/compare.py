"""Differences between conditions, video by video, and sentences computed from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mvmodel.metrics.report_card import bootstrap_interval

PAIR_COLUMNS = ["slug", "name", "seed"]
"""Columns that say which videos of two conditions belong together: the same request from the same seed."""
MIN_PAIRS = 4
"""Fewer pairs are never certain: the bootstrap of two or three values is hardly more than their range."""


@dataclass(frozen=True)
class Difference:
    """How much more the first condition has of a metric than the second: mean over pairs and its 95 % interval."""

    mean: float
    low: float
    high: float
    first: float
    second: float
    pairs: int

    @property
    def certain(self) -> bool:
        """Whether the interval leaves 0 out, over enough pairs for an interval to mean something."""
        return self.pairs >= MIN_PAIRS and math.isfinite(self.low) and (self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        if not self.pairs:
            return "not measured"
        spread = f", 95 % interval {self.low:+z.3f} to {self.high:+z.3f}" if math.isfinite(self.low) else ""
        return f"{self.mean:+z.3f} ({self.first:.3f} against {self.second:.3f} over {format_pairs(self.pairs)}{spread})"


def format_pairs(count: int) -> str:
    return f"{count} pair" if count == 1 else f"{count} pairs"


def select_rows(rows: pd.DataFrame, where: Mapping[str, object]) -> pd.DataFrame:
    """The rows whose columns have these values."""
    keep = np.ones(len(rows), bool)
    for name, value in where.items():
        keep &= (rows[name] == value).to_numpy()
    return rows[keep]


def compute_difference(
    rows: pd.DataFrame, first: Mapping[str, object], second: Mapping[str, object], metric: str
) -> Difference:
    """First minus second condition in one metric, over videos of the same request and seed.

    rows: a tidy table. first, second: column -> value. Videos that either condition lacks, or could not be given the
    metric, are left out.
    """
    nothing = Difference(math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    if metric not in rows.columns:
        return nothing
    keys = [name for name in PAIR_COLUMNS if name in rows.columns]
    sides = [
        select_rows(rows, where)[[*keys, metric]].dropna().groupby(keys)[metric].mean() for where in (first, second)
    ]
    pairs = sides[0].to_frame("first").join(sides[1].to_frame("second"), how="inner")
    if pairs.empty:
        return nothing
    gap = (pairs["first"] - pairs["second"]).to_numpy(float)
    low, high = bootstrap_interval(gap)
    return Difference(
        float(gap.mean()), low, high, float(pairs["first"].mean()), float(pairs["second"].mean()), len(gap)
    )


def describe_verdict(gap: Difference, better: int, least: float = 0.0) -> str:
    """ "holds", "holds here, but these few videos do not make it certain", or "does not hold".

    better: +1 if the first condition should have more of the metric, -1 if less. least: the smallest difference that
    counts. The verdict is certain if the whole interval is beyond it.
    """
    if not gap.pairs:
        return "could not be measured"
    gain = better * gap.mean
    if gain <= 0 or gain < least:
        return "does not hold"
    certain = gap.certain and min(better * gap.low, better * gap.high) >= least
    return "holds" if certain else "holds here, but these few videos do not make it certain"


def compute_group_means(rows: pd.DataFrame, by: str, metric: str) -> dict[object, float]:
    """Mean of a metric for each value of a column, in the order in which the values first come."""
    if metric not in rows.columns:
        return {}
    present = rows[rows[metric].notna()]
    return {key: float(group[metric].mean()) for key, group in present.groupby(by, sort=False)}


def join_words(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else "none"


def fit_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares change of y for one unit of x; NaN with fewer than two points."""
    xs, values = np.asarray(x, float), np.asarray(y, float)
    finite = np.isfinite(xs) & np.isfinite(values)
    if finite.sum() < 2 or np.ptp(xs[finite]) == 0:
        return math.nan
    return float(np.polyfit(xs[finite], values[finite], 1)[0])
