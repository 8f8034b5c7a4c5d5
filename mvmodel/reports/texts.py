"""Sentences and tables that are computed from the figures, never typed in beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mvmodel.metrics.score import METRICS

if TYPE_CHECKING:
    import pandas as pd


def number(value: Any, digits: int = 3) -> str:
    """A figure as text, a dash when there is none."""
    if value is None or not math.isfinite(float(value)):
        return "–"
    return f"{float(value):.{digits}f}"


def interval(row: Any, digits: int = 3) -> str:
    """ "0.61 to 0.74", or a word on why there is none."""
    if not math.isfinite(row["low"]):
        return "one video, no interval"
    return f"{number(row['low'], digits)} to {number(row['high'], digits)}"


def count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def counted(row: Mapping[str, Any]) -> str:
    """ "4 videos, 4 prompts, 2 seeds": what a mean was taken over."""
    return ", ".join(count(int(row[f"{noun}s"]), noun) for noun in ("video", "prompt", "seed"))


def lookup(card: pd.DataFrame, name: str, metric: str) -> dict[str, Any] | None:
    """The row of a summary for one condition and metric."""
    rows = card[(card["condition"] == name) & (card["metric"] == metric)]
    return None if rows.empty else {str(key): value for key, value in rows.iloc[0].to_dict().items()}


def verdict(card: pd.DataFrame) -> str:
    """What the IoU figures say, in words."""
    full, off = lookup(card, "full", "iou"), lookup(card, "no_mask", "iou")
    if full is None:
        return "The overlap with the control masks was not measured."
    text = (
        f"Over {count(full['videos'], 'video')} the object found in the picture overlaps its control mask with an "
        f"IoU of {number(full['mean'])}"
    )
    text += f" (95 % interval {interval(full)})" if math.isfinite(full["low"]) else ""
    if off is None:
        return text + "."
    gain = full["mean"] - off["mean"]
    text += f"; the same adapter with its mask term switched off reaches {number(off['mean'])}. "
    if math.isfinite(off["low"]) and full["low"] > off["high"]:
        return text + f"The intervals do not touch: the mask term adds {number(gain)}."
    if gain > 0:
        return text + f"The mask term adds {number(gain)}, though these few videos do not separate the two for certain."
    return text + f"Here the mask term brings nothing: the difference is {number(gain)}."


def stillness(card: pd.DataFrame) -> str:
    """Consistency only means something next to motion; says so with the figures."""
    same, moves = lookup(card, "full", "consistency"), lookup(card, "full", "motion")
    if same is None or moves is None:
        return ""
    return (
        f"Consistency is {number(same['mean'])} while the foreground moves {number(moves['mean'], 2)} pixels a frame; "
        "a still video would score 1.000 with motion 0."
    )


def metric_notes(names: list[str]) -> list[tuple[str, str]]:
    """Label and meaning of the metrics in a table, with which way is better."""
    way = {1: "Higher is better.", -1: "Lower is better.", 0: "Neither way is better by itself."}
    known = [METRICS[name] for name in names if name in METRICS]
    return [(m.label, f"{m.meaning[0].upper()}{m.meaning[1:]}. {way[m.better]}") for m in known]
