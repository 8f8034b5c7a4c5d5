"""The experiments' plots, on white: legible in print and on a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mvmodel.metrics.report_card import bootstrap_interval
from mvmodel.metrics.score import METRICS
from mvmodel.reports.plot_style import PRINT_INK, PRINT_PALETTE, new_panels, print_style

EXPERIMENT_METRICS = {
    "iou_given": "IoU with the masks given",
    "diversity": "Diversity over seeds",
    "to_first": "Cosine with frame 1",
    "step": "Frame-to-frame distance",
    "error": "Distance from the clean video",
}
"""Metrics that only experiments have -> their label."""


def get_metric_label(metric: str) -> str:
    """A metric as an axis names it."""
    name = EXPERIMENT_METRICS.get(metric) or (METRICS[metric].label if metric in METRICS else None)
    return name or metric.replace("_", " ")


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, and how far the ends of its 95 % interval lie from it."""
    low, high = bootstrap_interval(values)
    mean = float(np.mean(values)) if len(values) else float("nan")
    return (mean, mean - low, high - mean) if np.isfinite(low) else (mean, 0.0, 0.0)


@print_style
def plot_bars(rows: pd.DataFrame, by: str, metrics: Sequence[str], names: Mapping[str, str] | None = None) -> Figure:
    """A panel a metric, a bar for each value of `by` with its 95 % interval."""
    metrics = [name for name in metrics if name in rows.columns]
    groups = list(dict.fromkeys(rows[by]))
    figure, axes = new_panels(len(metrics), height=0.9 + 0.3 * len(groups), columns=min(3, len(metrics)))
    at = np.arange(len(groups))
    for panel, (axis, metric) in enumerate(zip(axes, metrics, strict=True)):
        values = [rows.loc[rows[by] == group, metric].dropna().to_numpy(float) for group in groups]
        spread = np.array([_spread(value) for value in values])
        axis.barh(at, spread[:, 0], 0.7, color=[PRINT_PALETTE[0] if i == 0 else PRINT_PALETTE[7] for i in at])
        axis.errorbar(spread[:, 0], at, xerr=spread[:, 1:].T.clip(min=0), fmt="none", ecolor=PRINT_INK, elinewidth=1.1)
        axis.set_title(get_metric_label(metric))
        axis.set_yticks(at, [(names or {}).get(str(g), str(g)) for g in groups] if panel % 3 == 0 else [""] * len(at))
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
    return figure


@print_style
def plot_curves(
    rows: pd.DataFrame,
    x: str,
    metrics: Sequence[str],
    by: str | None = None,
    xlabel: str = "",
    names: Mapping[str, str] | None = None,
    markers: bool = True,
) -> Figure:
    """A panel a metric, a line for each value of `by` against `x`, with the 95 % interval of the mean."""
    metrics = [name for name in metrics if name in rows.columns]
    figure, axes = new_panels(len(metrics))
    groups = list(dict.fromkeys(rows[by])) if by else [""]
    for axis, metric in zip(axes, metrics, strict=True):
        for number, group in enumerate(groups):
            group_rows = (rows if by is None else rows[rows[by] == group])[[x, metric]].dropna()
            if group_rows.empty:
                continue
            points = [(at, *_spread(part[metric].to_numpy(float))) for at, part in group_rows.groupby(x)]
            at, mean, below, above = (np.array(column, float) for column in zip(*points, strict=True))
            colour = PRINT_PALETTE[number % len(PRINT_PALETTE)]
            axis.plot(at, mean, "o-" if markers else "-", color=colour, markersize=4)
            axis.fill_between(at, mean - below, mean + above, color=colour, alpha=0.12, linewidth=0)
        axis.set_title(get_metric_label(metric))
        axis.set_xlabel(xlabel or x)
    if by:
        handles = [
            Line2D([], [], color=PRINT_PALETTE[i % len(PRINT_PALETTE)], marker="o" if markers else "")
            for i in range(len(groups))
        ]
        words = [(names or {}).get(str(group), str(group)) for group in groups]
        figure.legend(handles, words, loc="outside upper left", ncols=min(4, len(groups)), frameon=False)
    return figure
