"""Plots of an experiment's table, in the reports' style, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mvmodel.experiments.texts import label
from mvmodel.files import write_aside
from mvmodel.metrics.report_card import bootstrap_interval

if TYPE_CHECKING:
    import pandas as pd

COLOURS = ("#0a66c2", "#c2470c", "#6b4fc0", "#3f7a1d", "#8a6d00", "#9c2a63")
"""The reports' colours on light ground."""
_STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": "#dcdad4",
    "axes.labelcolor": "#565d69",
    "grid.color": "#e6e4de",
    "xtick.color": "#565d69",
    "ytick.color": "#565d69",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "lines.linewidth": 1.8,
}


def _panels(path: Path, draw: Any, metrics: Sequence[str], width: float, height: float = 2.9) -> Path:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(cast("Any", _STYLE)):
        figure = Figure(figsize=(width * len(metrics), height), layout="constrained")
        for axes, metric in zip(np.atleast_1d(figure.subplots(1, len(metrics))), metrics, strict=True):
            axes.tick_params(length=0)
            axes.set_title(label(metric), loc="left", fontsize=10)
            draw(axes, metric)
        with write_aside(path) as aside:
            figure.savefig(aside, dpi=110, metadata={"Software": None})
    return path


def _spread(values: pd.Series) -> tuple[float, float, float]:
    numbers = values.dropna().to_numpy(float)
    if not len(numbers):
        return float("nan"), float("nan"), float("nan")
    low, high = bootstrap_interval(numbers)
    return float(numbers.mean()), low, high


def bars(path: Path, table: pd.DataFrame, by: str, metrics: Sequence[str]) -> Path:
    """Mean and 95 % interval of every group, lying bars, one panel a metric."""
    groups = list(dict.fromkeys(table[by].astype(str)))

    def draw(axes: Any, metric: str) -> None:
        found = [_spread(table[table[by].astype(str) == group][metric]) for group in groups]
        means = np.array([one[0] for one in found])
        sides = np.nan_to_num(np.array([[m - low, high - m] for m, low, high in found]).T.clip(min=0))
        at = np.arange(len(groups))[::-1]
        axes.barh(at, means, 0.72, color=COLOURS[0])
        axes.errorbar(means, at, xerr=sides, fmt="none", ecolor="#1b1e24", elinewidth=1)
        axes.set_yticks(at, [group.replace("_", " ") for group in groups])
        axes.grid(axis="y", visible=False)

    return _panels(path, draw, metrics, width=4.2, height=1.0 + 0.3 * len(groups))


def lines(path: Path, table: pd.DataFrame, x: str, by: str, metrics: Sequence[str], xlabel: str = "") -> Path:
    """Mean against `x`, a line for every value of `by` with a dot a level, one panel a metric."""

    def draw(axes: Any, metric: str) -> None:
        for number, (name, group) in enumerate(table.groupby(by, sort=False)):
            means = group.groupby(x)[metric].mean()
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(
                means.index, means.to_numpy(), "o-", markersize=3.5, color=colour, label=str(name).replace("_", " ")
            )
        axes.set_xlabel(xlabel or x.replace("_", " "))
        axes.legend(fontsize=8)

    return _panels(path, draw, metrics, width=4.2)
