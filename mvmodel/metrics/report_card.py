"""Means over videos, with intervals and counts. A metric that a video lacks is left out, not counted as 0."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats

from mvmodel.metrics.score import METRICS

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
    return _resample(tuple(values.tolist()), level, resamples, seed)


@functools.lru_cache(maxsize=4096)
def _resample(values: tuple[float, ...], level: float, resamples: int, seed: int) -> tuple[float, float]:
    """`bootstrap_interval` of two or more finite values. A report asks for the same interval in several tables."""
    result = scipy.stats.bootstrap(
        (np.array(values),),
        np.mean,
        n_resamples=resamples,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


@dataclass(frozen=True)
class MetricMeans:
    """Means over a few videos.

    means: metric -> mean over the videos that have it. missing: metric of `METRICS` -> names of the videos that lack
    it, only where there are any. videos: how many videos there are.
    """

    means: dict[str, float]
    missing: dict[str, list[str]]
    videos: int

    @property
    def counts(self) -> dict[str, int]:
        """Metric -> number of videos that its mean is over."""
        return {name: self.videos - len(self.missing.get(name, ())) for name in self.means}


def average_metrics(videos: Mapping[str, Mapping[str, float]]) -> MetricMeans:
    """Mean of every metric over videos. videos: name -> metrics, as in `judge.Judgement.metrics`."""
    means: dict[str, float] = {}
    missing: dict[str, list[str]] = {}
    for name in METRICS:
        values = [metrics[name] for metrics in videos.values() if name in metrics]
        if values:
            means[name] = float(np.mean(values))
        if len(values) < len(videos):
            missing[name] = [video for video, metrics in videos.items() if name not in metrics]
    return MetricMeans(means, missing, len(videos))


def summarise(
    rows: pd.DataFrame, by: Sequence[str] = ("condition",), metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """Mean, 95 % bootstrap interval and counts of every metric, one row per group and metric.

    rows: one row a video; columns `by` (those that are there), `prompt` and `seed` if there are any, and the metrics.
    Returns the columns of `by`, then metric, mean, low, high, videos, prompts, seeds. A metric that a video lacks is
    left out of the mean and of the counts; one that a whole group lacks gives no row. A table without prompts or seeds
    counts
    one per video. Videos are resampled, so the interval is about other videos of this kind, not about another training.
    """
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
