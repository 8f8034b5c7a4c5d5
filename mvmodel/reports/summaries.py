"""Summaries of a table of videos (a row each, as in metrics.parquet): means, comparisons, the rows of a leaderboard."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mvmodel.metrics.report_card import summarise
from mvmodel.metrics.score import METRICS
from mvmodel.reports.formatting import format_count
from mvmodel.reports.tables import MAIN_METRICS


def compute_mean_metrics(rows: pd.DataFrame) -> dict[str, float]:
    """Metric -> mean over the videos that have it; NaN for a metric that no video has."""
    return {name: float(rows[name].mean()) for name in METRICS if name in rows.columns}


def compute_condition_means(rows: pd.DataFrame, condition: str = "full") -> dict[str, float]:
    """The means of `condition` under the metrics' names, those of the other conditions as condition/metric."""
    means: dict[str, float] = {}
    for name, group in rows.groupby("condition"):
        prefix = "" if name == condition else f"{name}/"
        means |= {f"{prefix}{metric}": mean for metric, mean in compute_mean_metrics(group).items()}
    return means


def build_comparison(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per metric of `MAIN_METRICS`: the full method's mean with its interval, other conditions' means, counts.

    The column of a condition with another number of videos than the full method says how many it has.
    """
    card = summarise(rows, metrics=MAIN_METRICS)
    counts = rows.groupby("condition")["name"].nunique()
    labels = {}
    for name in dict.fromkeys(card["condition"]):
        if name != "full":
            same = counts[name] == counts.get("full")
            labels[name] = name if same else f"{name} ({format_count(int(counts[name]), 'video')})"
    lines = []
    for metric, group in card.groupby("metric", sort=False):
        by_condition = {str(row["condition"]): row for row in group.to_dict(orient="records")}
        full: dict[Any, Any] = by_condition.get("full", {})
        lines.append(
            {
                "metric": metric,
                "full": full.get("mean"),
                "low": full.get("low"),
                "high": full.get("high"),
                **{label: by_condition.get(name, {}).get("mean") for name, label in labels.items()},
                **{count: full.get(count) for count in ("videos", "prompts", "seeds")},
            }
        )
    return pd.DataFrame(lines)


def build_leaderboard(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per motion and condition: means of `MAIN_METRICS` and counts. rows: with a column `slug`."""
    lines = []
    for (motion, condition), group in rows.groupby(["slug", "condition"], sort=False) if len(rows) else []:
        means = {
            name: group[name].mean() for name in MAIN_METRICS if name in group.columns and group[name].notna().any()
        }
        counts = {"videos": len(group), "prompts": group["prompt"].nunique(), "seeds": group["seed"].nunique()}
        lines.append({"name": motion, "condition": condition, **means, **counts})
    return pd.DataFrame(lines)
