"""Plots in one style: matplotlib drawings as inline SVG whose colours are the page's, so light and dark both work."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from mvmodel.reports.conditions import get_condition
from mvmodel.reports.entries import VideoEntry

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _SOFT, _LINE = "#010101", "#020202", "#030303"
_PAGE_COLOURS = {_INK: "--ink", _SOFT: "--soft", _LINE: "--line"}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _SOFT,
    "axes.titlecolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "text.color": _INK,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "lines.linewidth": 1.8,
}


_P = ParamSpec("_P")
_R = TypeVar("_R")


def in_style(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Draw in this module's style without changing anybody else's; the salt makes element ids repeatable."""

    @functools.wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        import matplotlib

        salt = "-".join([draw.__name__, *(value for value in args if isinstance(value, str))])
        with matplotlib.rc_context(cast("Any", {**_STYLE, "svg.hashsalt": salt})):
            return draw(*args, **kwargs)

    return styled


class Colours:
    """Stands-in that matplotlib accepts, swapped for the page's CSS variables afterwards."""

    def __init__(self) -> None:
        self.given = dict(_PAGE_COLOURS)

    def of(self, variable: str) -> str:
        for code, known in self.given.items():
            if known == variable:
                return code
        code = f"#0101{len(self.given) + 16:02x}"
        self.given[code] = variable
        return code


def svg_of(figure: Figure, colours: Colours, title: str) -> str:
    """The figure as inline SVG with a title that screen readers read, sized by its container."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for code, variable in colours.given.items():
        text = text.replace(code, f"var({variable})")
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'role="img" aria-label=' + quoteattr(title), text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", f"<title>{escape(title)}</title>", text, count=1, flags=re.DOTALL)
    return re.sub(r"font: (?:[\d.]+ )?([\d.]+)px '?[^;\"]*", r"font-size: \1px; font-family: inherit", text)


def new_figure(width: float = 5.4, height: float = 3.0) -> tuple[Figure, Axes]:
    """A figure with one set of axes, in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.tick_params(length=0)
    return figure, axes


@in_style
def iou_per_frame(videos: Sequence[VideoEntry]) -> str | None:
    """IoU against the frame's number: a thin line a video, a thick one a condition's mean. None without `found`."""
    from mvmodel.metrics.adherence import iou

    known = [video for video in videos if video.detected is not None]
    if not known:
        return None
    colours = Colours()
    figure, axes = new_figure()
    for name in dict.fromkeys(video.condition for video in known):
        lines = [iou(np.asarray(v.detected), v.masks) for v in known if v.condition == name]
        colour = colours.of(get_condition(name).colour)
        for line in lines:
            axes.plot(np.arange(1, len(line) + 1), line, color=colour, linewidth=0.7, alpha=0.35)
        length = min(map(len, lines))
        mean = np.mean([line[:length] for line in lines], axis=0)
        axes.plot(np.arange(1, length + 1), mean, color=colour, linewidth=2.4, label=get_condition(name).label)
    axes.set(xlabel="frame", ylabel="IoU with the control mask", ylim=(-0.02, 1.02))
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return svg_of(figure, colours, "IoU of the found object with the control mask, frame by frame, for every condition")


@in_style
def loss_curve(curve: Sequence[Mapping[str, Any]]) -> str | None:
    """Training loss against the step, smoothed over the raw points, with validation where it was measured."""
    points = [(row["step"], row["loss"]) for row in curve if row.get("loss") is not None]
    if len(points) < 2:
        return None
    colours = Colours()
    figure, axes = new_figure()
    steps, losses = (np.asarray(values, float) for values in zip(*points, strict=True))
    window = max(1, len(losses) // 20)
    smooth = np.array([losses[max(0, i - window) : i + window + 1].mean() for i in range(len(losses))])
    axes.plot(steps, losses, color=colours.of("--soft"), linewidth=0.6, alpha=0.5)
    axes.plot(steps, smooth, color=colours.of("--full"), label="training, smoothed")
    held_out = [(row["step"], row["validation"]) for row in curve if row.get("validation") is not None]
    if held_out:
        axes.plot(
            *zip(*held_out, strict=True), "o--", color=colours.of("--scratch"), markersize=4, label="held-out clips"
        )
    axes.set(xlabel="training step", ylabel="loss on frames 2 to n")
    axes.set_ylim(0, float(np.quantile(losses, 0.99)) * 1.15)
    axes.legend(loc="upper right")
    return svg_of(figure, colours, f"Training loss, from {smooth[0]:.3g} at the start to {smooth[-1]:.3g} at the end")


@in_style
def consistency_and_motion(videos: Sequence[VideoEntry]) -> str | None:
    """Consistency against motion, a point a video: a still one would sit at the top left."""
    known = [v for v in videos if {"consistency", "motion"} <= set(v.metrics)]
    if not known:
        return None
    colours = Colours()
    figure, axes = new_figure()
    for name in dict.fromkeys(video.condition for video in known):
        points = [(v.metrics["motion"], v.metrics["consistency"]) for v in known if v.condition == name]
        xs, ys = zip(*points, strict=True)
        axes.scatter(xs, ys, s=46, color=colours.of(get_condition(name).colour), label=get_condition(name).label)
    axes.set(xlabel="motion in the foreground, pixels per frame", ylabel="consistency, all pairs")
    axes.set_xlim(left=0)
    axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1), borderaxespad=0.2, handletextpad=0.1)
    return svg_of(
        figure, colours, "Consistency against motion, one point a video; a still video would be at the top left"
    )


@in_style
def bars(card: pd.DataFrame, metric: str, label: str, by: str = "slug") -> str | None:
    """Mean and interval of one metric, a group of bars per motion, a bar per condition. card: from `summarise`."""
    rows = card[card["metric"] == metric]
    if rows.empty:
        return None
    colours = Colours()
    groups, names = list(dict.fromkeys(rows[by])), list(dict.fromkeys(rows["condition"]))
    figure, axes = new_figure(width=max(5.4, 1.5 * len(groups)))
    wide = 0.8 / len(names)
    for number, name in enumerate(names):
        own = rows[rows["condition"] == name].set_index(by)
        at = [groups.index(group) + (number - (len(names) - 1) / 2) * wide for group in own.index]
        axes.bar(
            at, own["mean"], wide * 0.88, color=colours.of(get_condition(name).colour), label=get_condition(name).label
        )
        spread = np.nan_to_num(np.array([own["mean"] - own["low"], own["high"] - own["mean"]], float).clip(min=0))
        axes.errorbar(at, own["mean"], spread, fmt="none", ecolor=colours.of("--ink"), elinewidth=1.1)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylabel(label)
    axes.grid(axis="x", visible=False)
    axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return svg_of(figure, colours, f"{label} for every motion and condition, with 95 % intervals")


@in_style
def history_lines(history: pd.DataFrame, metric: str, label: str) -> str | None:
    """One metric over an adapter's versions, a line a motion; promoted versions are filled. None under two versions."""
    if metric not in history.columns or history.groupby("motion").size().max() < 2:
        return None
    colours = Colours()
    figure, axes = new_figure()
    palette = ("--full", "--scratch", "--other", "--no-mask")
    for number, (motion, rows) in enumerate(history.groupby("motion", sort=False)):
        colour = colours.of(palette[number % len(palette)])
        at = np.arange(1, len(rows) + 1)
        axes.plot(at, rows[metric], "-", color=colour, label=str(motion))
        promoted = rows["promoted"].to_numpy(bool) if "promoted" in rows.columns else np.ones(len(rows), bool)
        axes.scatter(at[promoted], rows[metric][promoted], color=colour, s=40, zorder=3)
        axes.scatter(at[~promoted], rows[metric][~promoted], s=40, zorder=3, facecolors="none", edgecolors=colour)
    axes.set(xlabel="version of the adapter (filled: promoted)", ylabel=label)
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="lower left", ncols=4, bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return svg_of(figure, colours, f"{label} over the versions of every motion's adapter")
