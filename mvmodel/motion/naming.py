"""Plain names for how something moves, and labels that name another direction than the measured one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

_SAME_SIDE_SHARE = 0.8
"""Share of a group's clips that must go to one side for its name to say so."""
_MIN_SIDEWAYS, _MIN_RISE = 0.4, 0.5
"""Object sizes from which something goes sideways, or rises or falls."""
_MIN_SHARE_OF_BOTH = 0.5
"""A name contains both directions if the smaller distance is at least this share of the larger one."""
_DIRECTION_OF_WORD: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("right", "rightward", "rightwards"), (1, 0)),
    **dict.fromkeys(("left", "leftward", "leftwards"), (-1, 0)),
    **dict.fromkeys(("up", "upward", "upwards", "rise", "rises", "rising"), (0, 1)),
    **dict.fromkeys(("down", "downward", "downwards", "fall", "falls", "falling"), (0, -1)),
}
"""Word of a label that names a direction -> its signs, rightward and upward."""


def suggest_name(clips: pd.DataFrame) -> str:
    """Suggest a name for a group of clips.

    clips: descriptors, one row per clip. If they have the attributes `rightward` and `upward` too, the direction comes
    from these: only they account for the camera, and show whether all clips go to one side.
    """
    values = clips.median(numeric_only=True).to_dict()
    if not {"rightward", "upward"} <= set(clips):
        return name_from_descriptor(values)
    values["sideways"] = float(clips["rightward"].abs().median())
    values["rise"] = float(clips["upward"].median())
    share_right = float((clips["rightward"] > 0).mean())
    side = "right" if share_right >= _SAME_SIDE_SHARE else "left" if share_right <= 1 - _SAME_SIDE_SHARE else "sideways"
    return name_from_descriptor(values, side)


def name_from_descriptor(values: Mapping[Any, float], side: str = "sideways") -> str:
    """A plain name for how something moves: "bouncing-right", "falling-left", "growing", "still".

    values: a descriptor. side: "right" or "left" if the whole group goes there, else "sideways".
    """
    manner, direction = _manner(values), _direction(values, side)
    if direction == side and not manner:
        manner = "going"
    if not manner and not direction and values["sideways_turns"] >= 2 and values["sideways_swing"] > 0.12:
        direction = "to-and-fro"
    return "-".join(part for part in (manner, direction) if part) or "still"


def _manner(values: Mapping[Any, float]) -> str:
    """How it moves, whatever the direction; "" for nothing special."""
    if values["spin"] > 1:
        return "turning"
    if values["circling"] > 0.4 and values["path"] > 1.2:
        return "circling"
    if values["vertical_swing"] > 0.15 and values["vertical_turns"] >= 1:
        return "bouncing" if values["vertical_jerk"] > 0.8 or values["squash_low"] > 0.03 else "weaving"
    if values["squash"] > 0.15:
        return "flapping"
    if values["tilt_swing"] > 0.03 and values["sideways_turns"] >= 1:
        return "swaying"
    if values["vertical_turns"] >= 3 and values["vertical_swing"] > 0.02:
        return "hopping"
    return ""


def _direction(values: Mapping[Any, float], side: str) -> str:
    """Where it goes, or whether it grows; "" if it stays. Both directions are named if neither dominates."""
    if abs(values["growth"]) > 0.4:
        return "growing" if values["growth"] > 0 else "shrinking"
    rise, sideways = abs(values["rise"]), values["sideways"]
    rising_or_falling = "rising" if values["rise"] > 0 else "falling"
    is_vertical, is_sideways = rise > _MIN_RISE, sideways > _MIN_SIDEWAYS
    neither_dominates = min(rise, sideways) > _MIN_SHARE_OF_BOTH * max(rise, sideways)
    if is_vertical and is_sideways and side != "sideways" and neither_dominates:
        return f"{rising_or_falling}-{side}"
    if is_vertical and rise > sideways:
        return rising_or_falling
    return side if is_sideways else ""


def find_contradicting_direction(label: str, rightward: float, upward: float) -> str:
    """The direction in which a clip clearly goes although its label names the opposite one; "" without contradiction.

    label: a slug, "run-left". A label that names both directions ("left-to-right", "up-and-down") cannot be
    contradicted. rightward, upward: the attributes, in object sizes.
    """
    directions = [_DIRECTION_OF_WORD[word] for word in re.split("[-_]", label) if word in _DIRECTION_OF_WORD]
    axes = (
        (0, rightward, _MIN_SIDEWAYS, "right", "left"),
        (1, upward, _MIN_RISE, "up", "down"),
    )
    contradictions = []
    for axis, distance, min_distance, positive, negative in axes:
        signs = {direction[axis] for direction in directions} - {0}
        if len(signs) == 1 and -signs.pop() * distance > min_distance:
            contradictions.append(positive if distance > 0 else negative)
    return " and ".join(contradictions)
