"""The cards and tables of a report, as plain lists and texts for the templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from mvmodel.metrics.score import METRICS
from mvmodel.reports.conditions import CONDITIONS, get_condition
from mvmodel.reports.formatting import (
    NO_VALUE,
    find_summary_row,
    format_count,
    format_counts,
    format_fewer_videos,
    format_interval,
    format_number,
)
from mvmodel.reports.sentences import describe_metrics

HEADLINE_METRICS = ("iou", "consistency", "alignment", "motion")
"""Metrics on the cards at the top and under every video."""
MAIN_METRICS = (
    "iou",
    "iou_independent",
    "consistency",
    "motion",
    "alignment",
    "motion_cosine",
    "identity",
    "colour_drift",
    "flicker",
)
"""Metrics that tables show at once; "all metrics" shows the rest. Motion is next to consistency, which it explains."""
BOARD_METRICS = 7
"""How many metrics the leaderboard shows; a motion's own report has all."""


def sort_conditions(names: Iterable[Any]) -> list[str]:
    """Names of conditions, each once, in the order of `CONDITIONS`, then the others in their own order."""
    present = list(dict.fromkeys(names))
    return [name for name in CONDITIONS if name in present] + [name for name in present if name not in CONDITIONS]


def build_cards(card: pd.DataFrame, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Cards for the top of a page: the full method's mean, its interval and counts, and the other conditions' means.

    A condition over another number of videos says how many, and the full method's mean over the same requests. card:
    from `summarise`, of `rows`, which have the column name, and slug if there are several motions.
    """
    cards = []
    for name in HEADLINE_METRICS:
        row = find_summary_row(card, "full", name)
        if row is None:
            continue
        metric = METRICS[name]
        cards.append(
            {
                "label": metric.label,
                "meaning": metric.meaning,
                "value": format_number(row["mean"], metric.digits),
                "interval": format_interval(row, metric.digits),
                "counts": format_counts(row),
                "comparisons": _compare(card, rows, name, int(row["videos"])),
            }
        )
    return cards


def _compare(card: pd.DataFrame, rows: pd.DataFrame, metric: str, videos: int) -> list[tuple[Any, str, str]]:
    """(condition, mean, what to know if it is not over `videos` videos) of every condition but the full method."""
    comparisons = []
    for name in sort_conditions(card["condition"]):
        row = find_summary_row(card, name, metric)
        if name != "full" and row is not None:
            count = format_fewer_videos(int(row["videos"]), videos)
            count += _describe_same_requests(rows, name, metric) if count else ""
            comparisons.append((get_condition(name), format_number(row["mean"], METRICS[metric].digits), count))
    return comparisons


def _describe_same_requests(rows: pd.DataFrame, condition: str, metric: str) -> str:
    """The full method's mean over the requests that a condition has; "" if the rows do not name them."""
    if "name" not in rows.columns:
        return ""
    keys = [name for name in ("slug", "name") if name in rows.columns]
    full, other = (rows[rows["condition"] == name].set_index(keys)[metric] for name in ("full", condition))
    same_requests = full[full.index.isin(other.dropna().index)]
    value = format_number(same_requests.mean(), METRICS[metric].digits)
    return f", where the {get_condition('full').label.lower()} has {value}" if len(same_requests) else ""


def summarise_counts(card: pd.DataFrame) -> str:
    """ "4 videos of 4 prompts and 2 seeds per condition", or the range when conditions differ."""
    if card.empty:
        return "no videos"
    videos, prompts, seeds = (sorted(set(card[name])) for name in ("videos", "prompts", "seeds"))
    count = format_count(videos[-1], "video") if len(videos) == 1 else f"{videos[0]} to {videos[-1]} videos"
    return f"{count} of {format_count(prompts[-1], 'prompt')} and {format_count(seeds[-1], 'seed')} per condition"


def build_cells(card: pd.DataFrame, condition: str, metrics: Sequence[str]) -> list[tuple[str, str]]:
    """(mean, interval) of one condition for every metric; dashes where it was not measured."""
    cells = []
    for metric in metrics:
        row, digits = find_summary_row(card, condition, metric), METRICS[metric].digits
        cells.append(
            (format_number(row["mean"], digits), format_interval(row, digits)) if row is not None else (NO_VALUE, "")
        )
    return cells


def build_summary_table(card: pd.DataFrame) -> dict[str, Any]:
    """The means of every condition: {metrics: [(name, Metric)], rows: [{condition, count, cells}]}.

    count: "2 videos" for a condition over fewer videos than the full method's, whose means are therefore not of the
    same videos, else "".
    """
    names = [name for name in METRICS if name in set(card["metric"])]
    videos = card.groupby("condition")["videos"].max()
    rows = [
        {
            "condition": get_condition(name),
            "count": format_fewer_videos(int(videos[name]), int(videos.get("full", videos[name]))),
            "cells": build_cells(card, name, names),
        }
        for name in sort_conditions(card["condition"])
    ]
    return {"metrics": [(name, METRICS[name]) for name in names], "rows": rows}


def build_video_table(metrics: pd.DataFrame) -> dict[str, Any]:
    """One row per video: {labels, metrics: [(name, Metric)], rows: [{condition, labels, cells}]}."""
    names = [name for name in METRICS if name in metrics.columns and metrics[name].notna().any()]
    labels = [name for name in ("prompt", "seed") if name in metrics.columns]
    rows = [
        {
            "condition": get_condition(str(row["condition"])),
            "labels": [str(row[name]) for name in labels],
            "cells": [format_number(row[name], METRICS[name].digits) for name in names],
        }
        for row in metrics.to_dict(orient="records")
    ]
    return {"labels": labels, "metrics": [(name, METRICS[name]) for name in names], "rows": rows}


def build_board(card: pd.DataFrame, reports: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, Any]:
    """The leaderboard: one row per motion.

    card: from `summarise`, by slug and condition. reports: slug -> address. labels: slug -> name for show.
    """
    names = [name for name in METRICS if name in set(card["metric"])][:BOARD_METRICS]
    rows = []
    for slug in dict.fromkeys(card["slug"]):
        motion = card[card["slug"] == slug]
        full = motion[motion["condition"] == "full"]
        no_mask, not_tuned = (find_summary_row(motion, name, "iou") for name in ("no_mask", "not_tuned"))
        counts = [format_count(int(full[f"{noun}s"].max()), noun) for noun in ("prompt", "seed")] if len(full) else []
        rows.append(
            {
                "motion": labels.get(str(slug), slug),
                "href": reports.get(str(slug), ""),
                "videos": int(full["videos"].max()) if len(full) else 0,
                "counts": ", ".join(counts),
                "no_mask": format_number(no_mask["mean"] if no_mask else None),
                "not_tuned": format_number(not_tuned["mean"] if not_tuned else None),
                "not_tuned_spread": format_interval(not_tuned) if not_tuned else "",
                "cells": build_cells(motion, "full", names),
            }
        )
    return {
        "metrics": [(name, METRICS[name]) for name in names],
        "rows": rows,
        "notes": describe_metrics(names),
        "has_not_tuned": "not_tuned" in set(card["condition"]),
    }


def build_history_table(history: pd.DataFrame | None) -> dict[str, Any]:
    """One row per motion and version: {labels, metrics: [(name, Metric)], rows: [{labels, cells}]}."""
    if history is None or not len(history):
        return {"labels": [], "metrics": [], "rows": []}
    labels = [name for name in ("motion", "version", "when", "promoted") if name in history.columns]
    names = [name for name in METRICS if name in history.columns and name not in labels]
    yes_no = {True: "yes", False: "no"}
    rows = [
        {
            "labels": [yes_no.get(row[n], str(row[n])) if n == "promoted" else str(row[n]) for n in labels],
            "cells": [format_number(row[name], METRICS[name].digits) for name in names],
        }
        for row in history.to_dict(orient="records")
    ]
    return {"labels": labels, "metrics": [(name, METRICS[name]) for name in names], "rows": rows}
