"""The plots of a report, as inline SVG in the page's own colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mvmodel.metrics.adherence import iou
from mvmodel.reports.conditions import get_condition
from mvmodel.reports.entries import VideoEntry
from mvmodel.reports.formatting import format_fewer_videos
from mvmodel.reports.plot_style import PAGE_PALETTE, PageColours, new_figure, page_style, to_svg


@page_style
def plot_iou_per_frame(videos: Sequence[VideoEntry]) -> str | None:
    """IoU against the frame's number: thin lines for videos, thick ones for conditions' means. None if not detected."""
    judged_videos = [video for video in videos if video.detected is not None]
    if not judged_videos:
        return None
    colours = PageColours()
    figure, axes = new_figure()
    for name in dict.fromkeys(video.condition for video in judged_videos):
        lines = [iou(np.asarray(v.detected), v.masks) for v in judged_videos if v.condition == name]
        colour = colours.get(get_condition(name).colour)
        for line in lines:
            axes.plot(np.arange(1, len(line) + 1), line, color=colour, linewidth=0.7, alpha=0.35)
        length = min(map(len, lines))
        mean = np.mean([line[:length] for line in lines], axis=0)
        axes.plot(np.arange(1, length + 1), mean, color=colour, linewidth=2.4, label=get_condition(name).label)
    axes.set(xlabel="frame", ylabel="IoU with the control mask", ylim=(-0.02, 1.02))
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return to_svg(
        figure, colours, "IoU of the detected object with the control mask, frame by frame, for every condition"
    )


@page_style
def plot_loss(curve: Sequence[Mapping[str, Any]]) -> str | None:
    """Training loss against the step, smoothed over the raw points, with validation where it was measured."""
    points = [(row["step"], row["loss"]) for row in curve if row.get("loss") is not None]
    if len(points) < 2:
        return None
    colours = PageColours()
    figure, axes = new_figure()
    steps, losses = (np.asarray(values, float) for values in zip(*points, strict=True))
    window = max(1, len(losses) // 20)
    smooth = np.array([losses[max(0, i - window) : i + window + 1].mean() for i in range(len(losses))])
    axes.plot(steps, losses, color=colours.get("--soft"), linewidth=0.6, alpha=0.5)
    axes.plot(steps, smooth, color=colours.get("--full"), label="training, smoothed")
    held_out = [(row["step"], row["validation"]) for row in curve if row.get("validation") is not None]
    if held_out:
        axes.plot(
            *zip(*held_out, strict=True), "o--", color=colours.get("--scratch"), markersize=4, label="held-out clips"
        )
    axes.set(xlabel="training step", ylabel="loss on frames 2 to n")
    axes.set_ylim(0, float(np.quantile(losses, 0.99)) * 1.15)
    axes.legend(loc="upper right")
    return to_svg(figure, colours, f"Training loss, from {smooth[0]:.3g} at the start to {smooth[-1]:.3g} at the end")


@page_style
def plot_consistency_and_motion(videos: Sequence[VideoEntry]) -> str | None:
    """Consistency against motion, one point per video: a still one would be at the top left."""
    measured_videos = [v for v in videos if {"consistency", "motion"} <= set(v.metrics)]
    if not measured_videos:
        return None
    colours = PageColours()
    figure, axes = new_figure()
    for name in dict.fromkeys(video.condition for video in measured_videos):
        points = [(v.metrics["motion"], v.metrics["consistency"]) for v in measured_videos if v.condition == name]
        xs, ys = zip(*points, strict=True)
        axes.scatter(xs, ys, s=46, color=colours.get(get_condition(name).colour), label=get_condition(name).label)
    axes.set(xlabel="motion in the foreground, pixels per frame", ylabel="consistency, all pairs")
    axes.set_xlim(left=0)
    axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1), borderaxespad=0.2, handletextpad=0.1)
    return to_svg(
        figure, colours, "Consistency against motion, one point per video; a still video would be at the top left"
    )


@page_style
def plot_motion_bars(card: pd.DataFrame, metric: str, label: str, by: str = "slug") -> str | None:
    """Mean and interval of one metric, one group of bars per motion, one bar per condition. card: from `summarise`.

    A condition over fewer videos than the full method's says how many.
    """
    rows = card[card["metric"] == metric]
    if rows.empty:
        return None
    colours = PageColours()
    groups, names = list(dict.fromkeys(rows[by])), list(dict.fromkeys(rows["condition"]))
    figure, axes = new_figure(width=max(5.4, 1.5 * len(groups)))
    width = 0.8 / len(names)
    videos = rows.groupby("condition")["videos"].sum()
    for number, name in enumerate(names):
        count = format_fewer_videos(int(videos[name]), int(videos.get("full", videos[name])))
        bars = rows[rows["condition"] == name].set_index(by)
        at = [groups.index(group) + (number - (len(names) - 1) / 2) * width for group in bars.index]
        axes.bar(
            at,
            bars["mean"],
            width * 0.88,
            color=colours.get(get_condition(name).colour),
            label=get_condition(name).label + (f" ({count})" if count else ""),
        )
        spread = np.nan_to_num(np.array([bars["mean"] - bars["low"], bars["high"] - bars["mean"]], float).clip(min=0))
        axes.errorbar(at, bars["mean"], spread, fmt="none", ecolor=colours.get("--ink"), elinewidth=1.1)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylabel(label)
    axes.grid(axis="x", visible=False)
    axes.legend(loc="lower left", ncols=3 if videos.nunique() == 1 else 2, bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return to_svg(figure, colours, f"{label} for every motion and condition, with 95 % intervals")


@page_style
def plot_history(history: pd.DataFrame, metric: str, label: str) -> str | None:
    """One metric over an adapter's versions, a line per motion; promoted versions are filled. None for one version."""
    if metric not in history.columns or history.groupby("motion").size().max() < 2:
        return None
    colours = PageColours()
    figure, axes = new_figure()
    for number, (motion, rows) in enumerate(history.groupby("motion", sort=False)):
        colour = colours.get(PAGE_PALETTE[number % len(PAGE_PALETTE)])
        at = np.arange(1, len(rows) + 1)
        axes.plot(at, rows[metric], "-", color=colour, label=str(motion))
        promoted = rows["promoted"].to_numpy(bool) if "promoted" in rows.columns else np.ones(len(rows), bool)
        axes.scatter(at[promoted], rows[metric][promoted], color=colour, s=40, zorder=3)
        axes.scatter(at[~promoted], rows[metric][~promoted], s=40, zorder=3, facecolors="none", edgecolors=colour)
    axes.set(xlabel="version of the adapter (filled: promoted)", ylabel=label)
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="lower left", ncols=4, bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return to_svg(figure, colours, f"{label} over the versions of every motion's adapter")
