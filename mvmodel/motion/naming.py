"""Plain names for how something moves, and labels whose words say another direction than was measured."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_ONE_WAY = 0.8
"""Share of a group's clips that go one way for its name to say so."""
_SIDEWAYS, _RISES = 0.4, 0.5
"""Object sizes from which something goes sideways, or rises or falls."""
_BOTH = 0.5
"""A direction is part of a name from this share of the other one on."""
_WORDS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("right", "rightward", "rightwards"), (1, 0)),
    **dict.fromkeys(("left", "leftward", "leftwards"), (-1, 0)),
    **dict.fromkeys(("up", "upward", "upwards", "rise", "rises", "rising"), (0, 1)),
    **dict.fromkeys(("down", "downward", "downwards", "fall", "falls", "falling"), (0, -1)),
}
"""Words of a label that say a direction -> its sign rightward and upward."""


def suggest_name(clips: pd.DataFrame) -> str:
    """A name for a group, from its clips' descriptors, one a row, and the facts `rightward` and `upward` if they stand
    beside them: only those know what the camera did, and whether all go to one side."""
    values = clips.median(numeric_only=True).to_dict()
    if not {"rightward", "upward"} <= set(clips):
        return name_from_descriptor(values)
    values["sideways"] = float(clips["rightward"].abs().median())
    values["rise"] = float(clips["upward"].median())
    right = float((clips["rightward"] > 0).mean())
    return name_from_descriptor(
        values, "right" if right >= _ONE_WAY else "left" if right <= 1 - _ONE_WAY else "sideways"
    )


def name_from_descriptor(values: dict[Any, float], side: str = "sideways") -> str:
    """A plain name for how something moves, from its descriptor: "bouncing-right", "falling-left", "growing", "still".

    side: "right" or "left" when all of the group go there, else "sideways".
    """
    how, where = _how(values), _where(values, side)
    if where == side and not how:
        how = "going"
    if not how and not where and values["sideways_turns"] >= 2 and values["sideways_swing"] > 0.12:
        where = "to-and-fro"
    return "-".join(part for part in (how, where) if part) or "still"


def _how(values: dict[Any, float]) -> str:
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


def _where(values: dict[Any, float], side: str) -> str:
    """Rising or falling and a side are named together where each is a good part of the other and all go there."""
    if abs(values["growth"]) > 0.4:
        return "growing" if values["growth"] > 0 else "shrinking"
    rise, sideways = abs(values["rise"]), values["sideways"]
    upright = "rising" if values["rise"] > 0 else "falling"
    vertical, horizontal = rise > _RISES, sideways > _SIDEWAYS
    if vertical and horizontal and side != "sideways" and min(rise, sideways) > _BOTH * max(rise, sideways):
        return f"{upright}-{side}"
    if vertical and rise > sideways:
        return upright
    return side if horizontal else ""


def find_contradicting_direction(label: str, rightward: float, upward: float) -> str:
    """The direction in which a clip clearly goes though its label's words say the opposite one; "" where none does.

    label: a slug, "run-left". A label with words for both ways ("left-to-right", "up-and-down") says neither.
    rightward, upward: the facts, object sizes.
    """
    said = [_WORDS[word] for word in re.split("[-_]", label) if word in _WORDS]
    ways = (
        (0, rightward, _SIDEWAYS, "right", "left"),
        (1, upward, _RISES, "up", "down"),
    )
    against = []
    for axis, measured, least, forth, back in ways:
        signs = {word[axis] for word in said} - {0}
        if len(signs) == 1 and -signs.pop() * measured > least:
            against.append(forth if measured > 0 else back)
    return " and ".join(against)
