"""Means with intervals and counts: one row per group of videos and metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mvmodel.metrics.score import METRICS

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
RESAMPLES = 2000


def bootstrap_interval(
    values: np.ndarray, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean: (low, high).

    values: float (videos,). The same values and seed give the same interval. Fewer than two values give (NaN, NaN):
    one video says nothing about spread.
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (resamples, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def summarise(
    rows: pd.DataFrame, by: Sequence[str] = ("condition",), metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """Mean, 95 % bootstrap interval and counts of every metric, one row per group and metric.

    rows: one row a video; columns `by` (those that are there), `prompt` and `seed` if there are any, and the metrics.
    Returns the columns of `by`, then metric, mean, low, high, videos, prompts, seeds. A metric that a group lacks gives
    no row. A table without prompts or seeds counts one a video. The
    videos are resampled, so the interval is about other videos of this kind, not about another training.
    """
    import pandas as pd

    keys = [name for name in by if name in rows.columns]
    names = [name for name in (metrics or METRICS) if name in rows.columns]
    groups = rows.groupby(keys, sort=False, dropna=False) if keys else [((), rows)]
    out = []
    for key, group in groups:
        for name in names:
            present = group[group[name].notna()]
            if present.empty:
                continue
            values = present[name].to_numpy(float)
            low, high = bootstrap_interval(values)
            out.append(
                dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True))
                | {"metric": name, "mean": float(values.mean()), "low": low, "high": high, "videos": len(values)}
                | {"prompts": int(present["prompt"].nunique()) if "prompt" in present.columns else len(values)}
                | {"seeds": int(present["seed"].nunique()) if "seed" in present.columns else len(values)}
            )
    return pd.DataFrame(out, columns=[*keys, "metric", "mean", "low", "high", "videos", "prompts", "seeds"])
