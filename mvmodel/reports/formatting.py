"""Numbers, intervals, counts and provenance as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

NO_VALUE = "–"


def format_number(value: Any, digits: int = 3) -> str:
    """A number with a fixed count of decimals; a dash for None, NaN and infinity."""
    if value is None or not math.isfinite(float(value)):
        return NO_VALUE
    return f"{float(value):z.{digits}f}"


def format_interval(row: Any, digits: int = 3) -> str:
    """ "0.61 to 0.74", or why there is no interval. row: a row of `summarise`, with `low` and `high`."""
    if not math.isfinite(row["low"]):
        return "one video, no interval"
    return f"{format_number(row['low'], digits)} to {format_number(row['high'], digits)}"


def format_count(count: int, noun: str) -> str:
    """ "1 video", "2 videos"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_fewer_videos(videos: int, full_videos: int) -> str:
    """ "2 videos" for a condition that does not have as many videos as the full method, else ""."""
    return "" if videos == full_videos else format_count(videos, "video")


def format_counts(row: Mapping[str, Any]) -> str:
    """ "4 videos, 4 prompts, 2 seeds": what the mean in a row of `summarise` is over."""
    return ", ".join(format_count(int(row[f"{noun}s"]), noun) for noun in ("video", "prompt", "seed"))


def find_summary_row(card: pd.DataFrame, condition: str, metric: str) -> dict[str, Any] | None:
    """The row of a summary for one condition and metric, None where there is none. card: from `summarise`."""
    rows = card[(card["condition"] == condition) & (card["metric"] == metric)]
    return None if rows.empty else {str(key): value for key, value in rows.iloc[0].to_dict().items()}


def format_provenance(values: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Provenance in sections: the single values under "", then every nested mapping under its name, as lines."""
    single = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    sections = [("", _flatten(single))]
    for name, value in values.items():
        if isinstance(value, Mapping):
            sections.append((str(name).replace("_", " "), _flatten(value)))
    return [(name, lines) for name, lines in sections if lines]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as lines: ("adapter / version", "3f2c...")."""
    lines: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None or value is False:
            continue
        label = f"{prefix}{str(name).replace('_', ' ')}"
        if isinstance(value, Mapping):
            lines += _flatten(value, f"{label} / ")
        elif isinstance(value, (list, tuple)):
            nested = any(isinstance(item, (list, tuple)) for item in value)
            parts = [", ".join(map(str, item)) if isinstance(item, (list, tuple)) else str(item) for item in value]
            lines.append((label, ("; " if nested else ", ").join(parts)))
        else:
            lines.append((label, str(value)))
    return lines
