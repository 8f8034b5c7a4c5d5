"""Where a move of a sentence begins and ends: "from left to right", "to the top", "across the picture"."""

from __future__ import annotations

import re

from mvmodel.authoring import lexicon

Position = tuple[float | None, float | None]
"""x and y in shares of the picture; a coordinate is None if the words leave it open."""

_WORD = "|".join(sorted(lexicon.POSITIONS, key=len, reverse=True))
_POSITION = (
    rf"(?:(?:the|its|very|far|edge|side|of|picture) )*((?:{_WORD})(?:[ -](?:and |to the |and to the )?(?:{_WORD}))?)"
)
"""A position in words, such as "the top left" or "left and to the top"; its words are one group."""
_LEFT_EDGE = 0.15


def find_positions(text: str, kind: str, assumptions: list[str]) -> tuple[Position, Position]:
    """Find where a move of a kind begins and ends. What the text leaves open is appended to `assumptions`.

    The patterns are tried in turn, and each removes what it has matched; an earlier one takes precedence.
    """
    start: Position = (None, None)
    end: Position = (None, None)
    text = text.replace(" towards ", " to ").replace(" toward ", " to ").replace(" onto ", " to ")
    text = re.sub(r"^(towards|toward|onto|into)\b", "to", text).replace(" into ", " to ")
    if match := re.search(rf"\b{_POSITION} to {_POSITION}\b", text):
        start, end = _parse_position(match.group(1)), _parse_position(match.group(2))
        text = text.replace(match.group(0), " ")
    if match := re.search(rf"\b(?:from|starting (?:on|at|in)|starts (?:on|at|in)) {_POSITION}", text):
        start = _complete(start, _parse_position(match.group(1)))
        text = text.replace(match.group(0), " ")
    if match := re.search(rf"\bto {_POSITION}", text):
        end = _complete(end, _parse_position(match.group(1)))
        text = text.replace(match.group(0), " ")
    if match := re.search(rf"\b(?:on|at|in) {_POSITION}", text):
        if kind in ("leave", "fall", "rise", "stay") or re.search(r"\b(out|off)\b", text):
            end = _complete(end, _parse_position(match.group(1)))
        else:
            start = _complete(start, _parse_position(match.group(1)))
        text = text.replace(match.group(0), " ")
    if match := re.search(rf"\b((?:{_WORD})(?: and (?:to the )?(?:{_WORD}))?)\b", text):
        end = _complete(end, _parse_position(match.group(1)))
    crosses = bool(re.search(r"\b(across|past|through)\b", text)) and kind in ("travel", "fly", "zigzag")
    crosses = crosses or (kind == "jump" and bool(re.search(r"\bacross\b", text)))
    if crosses and end == (None, None):
        x = start[0]
        if x is None:
            assumptions.append("the sentence does not say which way it crosses the picture; left to right was taken")
            x = _LEFT_EDGE
        start, end = (x, start[1]), (1 - x, end[1])
    return start, end


def _parse_position(text: str) -> Position:
    position: Position = (None, None)
    for word in re.findall(r"[a-z]+", text):
        if word in lexicon.POSITIONS:
            position = _complete(position, lexicon.POSITIONS[word])
    return position


def _complete(position: Position, default: Position) -> Position:
    """Fill the open coordinates of a position from `default`."""
    return (default[0] if position[0] is None else position[0], default[1] if position[1] is None else position[1])
