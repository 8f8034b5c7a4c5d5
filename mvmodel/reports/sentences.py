"""Sentences that are computed from the metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mvmodel.metrics.report_card import bootstrap_interval
from mvmodel.metrics.score import METRICS
from mvmodel.reports.formatting import find_summary_row, format_count, format_interval, format_number


def describe_adherence(card: pd.DataFrame) -> str:
    """What the IoU says about the control masks and the mask term. card: from `summarise`."""
    full, no_mask = find_summary_row(card, "full", "iou"), find_summary_row(card, "no_mask", "iou")
    if full is None:
        return "The overlap with the control masks was not measured."
    videos = format_count(full["videos"], "video")
    text = f"Over {videos}, the detected object overlaps its control mask with an IoU of {format_number(full['mean'])}"
    text += f" (95 % interval {format_interval(full)})" if math.isfinite(full["low"]) else ""
    if no_mask is None:
        return f"{text}."
    gain = full["mean"] - no_mask["mean"]
    text += f"; the same adapter with its mask term switched off reaches {format_number(no_mask['mean'])}. "
    if math.isfinite(no_mask["low"]) and full["low"] > no_mask["high"]:
        return f"{text}The intervals do not overlap: the mask term adds {format_number(gain)}."
    if gain > 0:
        return f"{text}The mask term adds {format_number(gain)}, but the intervals of these few videos overlap."
    return f"{text}Here the mask term does not help: the difference is {format_number(gain)}."


def describe_tuning(rows: pd.DataFrame) -> str:
    """What tuning brings over the pack's start adapter, on the same requests; "" without such videos.

    rows: one row per video with condition, name and metrics, and slug if there are several motions.
    """
    keys = [name for name in ("slug", "name") if name in rows.columns]
    if not keys or "not_tuned" not in set(rows["condition"]):
        return ""
    full, start = (rows[rows["condition"] == name].set_index(keys) for name in ("full", "not_tuned"))
    parts = []
    for metric in ("iou", "motion_cosine"):
        if metric not in rows.columns:
            continue
        gain = (full[metric] - start[metric]).dropna().to_numpy(float)
        if not len(gain):
            continue
        low, high = bootstrap_interval(gain)
        doubt = "" if low > 0 or high < 0 else ", which may be nothing"
        interval = f" (95 % interval {low:+z.3f} to {high:+z.3f}{doubt})" if math.isfinite(low) else ""
        label = METRICS[metric].label
        label = label if label == "IoU" else label[0].lower() + label[1:]
        parts.append(f"{label} by {gain.mean():+z.3f}{interval}")
    if not parts:
        return ""
    return f"Tuning changes, against the pack's start adapter on the same requests, {' and '.join(parts)}."


def describe_stillness(card: pd.DataFrame) -> str:
    """Consistency next to motion: a still video is perfectly consistent. card: from `summarise`."""
    consistency, motion = find_summary_row(card, "full", "consistency"), find_summary_row(card, "full", "motion")
    if consistency is None or motion is None:
        return ""
    return (
        f"Consistency is {format_number(consistency['mean'])} while the foreground moves "
        f"{format_number(motion['mean'], 2)} pixels per frame; a still video would score 1.000 with motion 0."
    )


def describe_metrics(names: Sequence[str]) -> list[tuple[str, str]]:
    """(label, meaning and better direction) of every metric in a table."""
    directions = {1: "Higher is better.", -1: "Lower is better.", 0: "Neither direction is better in itself."}
    metrics = [METRICS[name] for name in names if name in METRICS]
    return [(m.label, f"{m.meaning[0].upper()}{m.meaning[1:]}. {directions[m.better]}") for m in metrics]


def describe_regressions(history: pd.DataFrame | None) -> list[str]:
    """A sentence for every motion whose newest version is worse than the one before. history: as in a leaderboard."""
    if history is None or not len(history):
        return []
    sentences = []
    for slug, rows in history.groupby("motion", sort=False):
        for name in ("iou", "alignment"):
            values = list(rows[name].dropna()) if name in rows.columns else []
            if len(values) > 1 and values[-1] < values[-2]:
                change = f"{format_number(values[-2])} to {format_number(values[-1])}"
                sentences.append(f"{slug}: {METRICS[name].label} went from {change} with its newest version.")
    return sentences


def describe_validation(curve: Sequence[Mapping[str, Any]]) -> str:
    """What the loss on held-out clips says about a training, in a sentence; "" if it was not measured.

    curve: rows of the training curve with step, loss, validation.
    """
    points = [(int(row["step"]), float(row["validation"])) for row in curve if row.get("validation") is not None]
    if len(points) < 2:
        return ""
    (_, first), (last_step, last), (best_step, best) = points[0], points[-1], min(points, key=lambda point: point[1])
    numbers = f"from {format_number(first, 4)} before tuning to {format_number(last, 4)} at step {last_step}"
    if best_step == 0:
        return (
            f"The loss on clips that were held out rises {numbers}: tuning fits its own clips and says nothing more "
            f"about others of this motion; `early_stopping` would have kept the start."
        )
    if last > best:
        return (
            f"The loss on clips that were held out goes {numbers}, and was lowest at step {best_step} "
            f"({format_number(best, 4)}): after that, tuning only fits its own clips; `early_stopping` keeps the best."
        )
    return f"The loss on clips that were held out falls {numbers}: what was learned also holds for clips not seen."


def describe_training(training: Mapping[str, Any]) -> str:
    """ "200 steps, 63 seconds, from scratch": what is known of an adapter's training."""
    parts = []
    if training.get("steps"):
        parts.append(f"{training['steps']} steps")
    if training.get("seconds"):
        parts.append(f"{float(training['seconds']):.0f} seconds")
    if "init_from" in training:
        start = training["init_from"]
        names = {None: "from scratch", "start": "from the pack's start adapter"}
        parts.append(names.get(start, f"from {start}"))
    return ", ".join(parts)
