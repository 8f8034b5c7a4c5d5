"""Where a sentence's move begins and ends: "from left to right", "to the top", "across the picture"."""

from __future__ import annotations

import re

from mvmodel.authoring import lexicon as words

Position = tuple[float | None, float | None]
"""x and y in shares of the picture; None where the words leave a coordinate open."""

_PLACE = "|".join(sorted(words.POSITIONS, key=len, reverse=True))
_SPOT = (
    rf"(?:(?:the|its|very|far|edge|side|of|picture) )*((?:{_PLACE})(?:[ -](?:and |to the |and to the )?(?:{_PLACE}))?)"
)


def find_positions(text: str, kind: str, assumptions: list[str]) -> tuple[Position, Position]:
    """Where a move begins and ends."""
    start: Position = (None, None)
    end: Position = (None, None)
    text = text.replace(" towards ", " to ").replace(" toward ", " to ").replace(" onto ", " to ")
    text = re.sub(r"^(towards|toward|onto|into)\b", "to", text).replace(" into ", " to ")
    if found := re.search(rf"\b{_SPOT} to {_SPOT}\b", text):
        start, end = _spot(found.group(1)), _spot(found.group(2))
        text = text.replace(found.group(0), " ")
    if found := re.search(rf"\b(?:from|starting (?:on|at|in)|starts (?:on|at|in)) {_SPOT}", text):
        start = _filled(start, _spot(found.group(1)))
        text = text.replace(found.group(0), " ")
    if found := re.search(rf"\bto {_SPOT}", text):
        end = _filled(end, _spot(found.group(1)))
        text = text.replace(found.group(0), " ")
    if found := re.search(rf"\b(?:on|at|in) {_SPOT}", text):
        if kind in ("leave", "fall", "rise", "stay") or re.search(r"\b(out|off)\b", text):
            end = _filled(end, _spot(found.group(1)))
        else:
            start = _filled(start, _spot(found.group(1)))
        text = text.replace(found.group(0), " ")
    if found := re.search(rf"\b((?:{_PLACE})(?: and (?:to the )?(?:{_PLACE}))?)\b", text):
        end = _filled(end, _spot(found.group(1)))
    across = bool(re.search(r"\b(across|past|through)\b", text)) and kind in ("travel", "fly", "zigzag")
    if across and end == (None, None):
        x = start[0]
        if x is None:
            assumptions.append("the sentence does not say which way it crosses the picture; left to right was taken")
            x = 0.15
        start, end = (x, start[1]), (1 - x, end[1])
    return start, end


def _spot(text: str) -> Position:
    place: Position = (None, None)
    for word in re.findall(r"[a-z]+", text):
        if word in words.POSITIONS:
            place = _filled(place, words.POSITIONS[word])
    return place


def _filled(place: Position, more: Position) -> Position:
    return (more[0] if place[0] is None else place[0], more[1] if place[1] is None else place[1])
