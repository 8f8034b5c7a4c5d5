"""What stands in a report's cards and tables, as plain lists and texts for the templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mvmodel.metrics.score import METRICS
from mvmodel.reports import texts
from mvmodel.reports.conditions import CONDITIONS, get_condition

if TYPE_CHECKING:
    import pandas as pd

HEADLINES = ("iou", "consistency", "alignment", "motion")
"""Metrics on the cards at the top and under every video."""
SHOWN = (*HEADLINES, "motion_cosine", "colour_drift", "flicker")
"""Metrics that tables show at once; the others come with "every figure"."""


def ordered(names: Any) -> list[str]:
    """Conditions in the order of `CONDITIONS`, others after them in their own."""
    present = list(dict.fromkeys(names))
    return [name for name in CONDITIONS if name in present] + [name for name in present if name not in CONDITIONS]


def headlines(card: pd.DataFrame) -> list[dict[str, Any]]:
    """Cards at the top: the full method's mean, its interval and counts, and the other conditions' means, with the
    number of their videos where it is another."""
    out = []
    for name in HEADLINES:
        row = texts.lookup(card, "full", name)
        if row is None:
            continue
        metric = METRICS[name]
        others = []
        for other in ordered(card["condition"]):
            beside = texts.lookup(card, other, name)
            if other != "full" and beside is not None:
                fewer = "" if beside["videos"] == row["videos"] else texts.count(int(beside["videos"]), "video")
                others.append((get_condition(other), texts.number(beside["mean"], metric.digits), fewer))
        out.append(
            {
                "label": metric.label,
                "meaning": metric.meaning,
                "value": texts.number(row["mean"], metric.digits),
                "interval": texts.interval(row, metric.digits),
                "counts": texts.counted(row),
                "others": others,
            }
        )
    return out


def counts(card: pd.DataFrame) -> str:
    """ "4 videos of 4 prompts and 2 seeds a condition", or the range when conditions differ."""
    if card.empty:
        return "no videos"
    videos, prompts, seeds = (sorted(set(card[name])) for name in ("videos", "prompts", "seeds"))
    several = texts.count(videos[-1], "video") if len(videos) == 1 else f"{videos[0]} to {videos[-1]} videos"
    return f"{several} of {texts.count(prompts[-1], 'prompt')} and {texts.count(seeds[-1], 'seed')} a condition"


def _cells(card: pd.DataFrame, name: str, metrics: list[str]) -> list[tuple[str, str]]:
    """(mean, interval) of one condition for every metric; dashes where it was not measured."""
    out = []
    for metric in metrics:
        row, digits = texts.lookup(card, name, metric), METRICS[metric].digits
        out.append((texts.number(row["mean"], digits), texts.interval(row, digits)) if row else ("–", ""))
    return out


def summary_table(card: pd.DataFrame) -> dict[str, Any]:
    names = [name for name in METRICS if name in set(card["metric"])]
    rows = [
        {"condition": get_condition(name), "cells": _cells(card, name, names)} for name in ordered(card["condition"])
    ]
    return {"metrics": [(name, METRICS[name]) for name in names], "rows": rows}


def video_table(metrics: pd.DataFrame) -> dict[str, Any]:
    names = [name for name in METRICS if name in metrics.columns and metrics[name].notna().any()]
    words = [name for name in ("prompt", "seed") if name in metrics.columns]
    rows = [
        {
            "condition": get_condition(str(row["condition"])),
            "words": [str(row[name]) for name in words],
            "cells": [texts.number(row[name], METRICS[name].digits) for name in names],
        }
        for row in metrics.to_dict(orient="records")
    ]
    return {"words": words, "metrics": [(name, METRICS[name]) for name in names], "rows": rows}


def board(card: pd.DataFrame, reports: dict[str, str]) -> dict[str, Any]:
    """The leaderboard: a row a motion, with the metrics that matter most; a motion's own report has the others."""
    names = [name for name in METRICS if name in set(card["metric"])][:6]
    rows = []
    for slug in dict.fromkeys(card["slug"]):
        own = card[card["slug"] == slug]
        full = own[own["condition"] == "full"]
        off = texts.lookup(own, "no_mask", "iou")
        rows.append(
            {
                "motion": slug,
                "href": reports.get(str(slug), ""),
                "videos": int(full["videos"].max()) if len(full) else 0,
                "counts": _other_counts(full),
                "off": texts.number(off["mean"] if off else None),
                "cells": _cells(own, "full", names),
            }
        )
    return {"metrics": [(name, METRICS[name]) for name in names], "rows": rows, "notes": texts.metric_notes(names)}


def _other_counts(rows: pd.DataFrame) -> str:
    """Prompts and seeds behind a row of the leaderboard."""
    if not len(rows):
        return ""
    return ", ".join(texts.count(int(rows[f"{noun}s"].max()), noun) for noun in ("prompt", "seed"))


def history_table(history: pd.DataFrame | None) -> dict[str, Any]:
    if history is None or not len(history):
        return {"words": [], "metrics": [], "rows": []}
    words = [name for name in ("motion", "version", "when", "promoted") if name in history.columns]
    names = [name for name in METRICS if name in history.columns and name not in words]
    rows = [
        {
            "words": [
                {True: "yes", False: "no"}.get(row[w], str(row[w])) if w == "promoted" else str(row[w]) for w in words
            ],
            "cells": [texts.number(row[name], METRICS[name].digits) for name in names],
        }
        for row in history.to_dict(orient="records")
    ]
    return {"words": words, "metrics": [(name, METRICS[name]) for name in names], "rows": rows}


def regressions(history: pd.DataFrame | None) -> list[str]:
    """Sentences for motions whose newest version is worse than the one before."""
    if history is None or not len(history):
        return []
    out = []
    for slug, rows in history.groupby("motion", sort=False):
        for name in ("iou", "alignment"):
            values = list(rows[name].dropna()) if name in rows.columns else []
            if len(values) > 1 and values[-1] < values[-2]:
                change = f"{texts.number(values[-2])} to {texts.number(values[-1])}"
                out.append(f"{slug}: {METRICS[name].label} went from {change} with its newest version.")
    return out


def training_line(training: Mapping[str, Any]) -> str:
    parts = []
    if training.get("steps"):
        parts.append(f"{training['steps']} steps")
    if training.get("seconds"):
        parts.append(f"{float(training['seconds']):.0f} seconds")
    if "init_from" in training:
        start = training["init_from"]
        known = {None: "from scratch", "start": "starting from the adapter that ships with the pack"}
        parts.append(known.get(start, f"starting from {start}"))
    return ", ".join(parts)


def sections(values: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Provenance in parts: the single values under "", then every nested one under its name, as lines of `flat`."""
    single = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    nested = [
        (str(name).replace("_", " "), flat(value)) for name, value in values.items() if isinstance(value, Mapping)
    ]
    return [(name, lines) for name, lines in [("", flat(single)), *nested] if lines]


def flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Nested provenance as lines: ("adapter / version", "3f2c...")."""
    out: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None or value is False:
            continue
        label = f"{before}{str(name).replace('_', ' ')}"
        if isinstance(value, Mapping):
            out += flat(value, f"{label} / ")
        elif isinstance(value, (list, tuple)):
            rows = any(isinstance(item, (list, tuple)) for item in value)
            parts = [", ".join(map(str, item)) if isinstance(item, (list, tuple)) else str(item) for item in value]
            out.append((label, ("; " if rows else ", ").join(parts)))
        else:
            out.append((label, str(value)))
    return out
