"""One move of a sentence: a verb and the words that belong to it, with where to, how often, how fast and how far."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mvmodel.authoring import lexicon
from mvmodel.authoring.positions import Position, find_positions

OVERLAY_KINDS = frozenset({"jump", "spin", "grow", "shrink", "sway", "shake", "flap"})
"""Kinds of moves that can happen while another move goes somewhere."""

_AFTER_IN = "|".join(["from", "on", "at", "and", "to", "through", "then", *lexicon.SPEEDS])
"""Words after "comes in", where "runs in snow" is about scenery."""


@dataclass(frozen=True)
class Move:
    """One thing that an actor does.

    kind: a key of `lexicon.VERBS`. verb: the verb as it stands in the sentence. start, end: x and y in shares of the
    picture; a coordinate is None if the sentence leaves it open. out: ends beyond the picture's edge. come_in: starts
    beyond it. back: ends where it began. count: how often; None if the sentence does not say. speed, amount: factors on
    the speed and on the distance or height. easing: a key of `paths.EASINGS`, or "". clockwise: sense of rotation.
    depth: -1 goes away from the camera, 1 comes nearer. relation: "each-other",
    "from-each-other" or "crossing-each-other" if several actors move towards, away from or past each other, else "".
    then: begins after the move before it, else together with it.
    """

    kind: str
    verb: str
    start: Position = (None, None)
    end: Position = (None, None)
    out: bool = False
    come_in: bool = False
    back: bool = False
    count: float | None = None
    speed: float = 1.0
    amount: float = 1.0
    easing: str = ""
    clockwise: bool = True
    depth: int = 0
    relation: str = ""
    then: bool = True


def read_move(form: str, modifiers: list[str], assumptions: list[str]) -> Move:
    """Read a verb and the words that belong to it. What they leave open is appended to `assumptions`.

    form: the verb, in any form of `lexicon.VERB_OF_FORM`.
    """
    verb = lexicon.VERB_OF_FORM[form]
    kind = lexicon.KIND_OF_VERB[verb]
    text = " ".join(modifiers)
    start, end = find_positions(text, kind, assumptions)
    count = find_count(modifiers, assumptions)
    out = kind == "leave" or bool(
        re.search(r"\b(out of|off) (the |this )?(picture|frame|screen|image|view)|\boff\b", text)
    )
    if kind == "spin" and re.search(r"\b(around|back)\b", text) and count is None and not re.search("clockwise", text):
        kind = "stay"  # "turns around" looks the other way, which a mask hardly shows
    if verb == "turn" and kind == "spin" and end[0] is not None and count is None:
        kind = "travel"  # "turns left" goes there, and does not spin
    if "in-circle" in modifiers:
        kind = "circle"
    if "diagonally" in modifiers:
        start, end = _complete_diagonal(start, end, assumptions)
    if {"backward", "backwards"} & set(modifiers) and end == (None, None):
        assumptions.append("a mask does not show which way it faces; backwards was taken as to the left")
        end = (0.18, None)
    back = kind == "return" or bool(re.search(r"\b(back(?! and)|where it (started|began))\b", text))
    if "forth" in modifiers:
        back, count = True, count or 1.0
    if "up-down" in modifiers and kind not in OVERLAY_KINDS:
        kind = "jump"
    comes_in = rf"^in(?=$|[ ,;.]+({_AFTER_IN})\b|[,;.])|\binto view\b|\bin from\b"
    return Move(
        kind=kind,
        verb=form,
        start=start,
        end=end,
        out=out,
        come_in=kind == "enter" or bool(re.search(comes_in, text)),
        back=back,
        count=count,
        speed=_find_speed(modifiers),
        amount=next((lexicon.AMOUNTS[token] for token in modifiers if token in lexicon.AMOUNTS), 1.0),
        easing=next((lexicon.EASING_OF_WORD[token] for token in modifiers if token in lexicon.EASING_OF_WORD), ""),
        clockwise=not re.search(r"counter-?\s?clockwise|anti-?\s?clockwise", text),
        depth=_find_depth(text) or lexicon.DEPTH_OF_VERB.get(verb, 0),
        relation=_find_relation(verb, modifiers),
    )


def find_count(modifiers: list[str], assumptions: list[str]) -> float | None:
    """How often: "twice", "three times", "in four hops", "two jumps"; None if the words do not say."""
    for token, following in zip(modifiers, [*modifiers[1:], ""], strict=False):
        if token in lexicon.COUNT_WORDS:
            return lexicon.COUNT_WORDS[token]
        number = float(token) if token.isdigit() else lexicon.NUMBERS.get(token)
        if number is not None and (
            following in lexicon.COUNTED_NOUNS or (following in lexicon.VERB_OF_FORM and token not in {"a", "an"})
        ):
            return number
        if token in lexicon.VAGUE_COUNTS and (
            following in {"times", "of", "and", "jumps", "hops"} or token == "repeatedly"
        ):
            assumptions.append(f"{token!r} leaves the number open; {lexicon.VAGUE_COUNTS[token]:g} was taken")
            return lexicon.VAGUE_COUNTS[token]
    return None


def _find_speed(modifiers: list[str]) -> float:
    speed = 1.0
    for previous, token in zip(["", *modifiers], modifiers, strict=False):
        if token in lexicon.SPEEDS:
            exponent = 2 if previous in {"very", "really", "extremely"} else 1
            speed *= lexicon.SPEEDS[token] ** exponent
    return speed


def _find_relation(verb: str, modifiers: list[str]) -> str:
    relations = ("from-each-other", "crossing-each-other", "each-other")
    default = "each-other" if verb in lexicon.MEETING_VERBS else ""
    return next((relation for relation in relations if relation in modifiers), default)


def _complete_diagonal(start: Position, end: Position, assumptions: list[str]) -> tuple[Position, Position]:
    """Start and end of a diagonal; what the words leave open goes from the lower left to the upper right."""
    if None in (*start, *end):
        assumptions.append("the sentence does not say which diagonal; what it leaves open goes up to the right")
    end_x = end[0] if end[0] is not None else 0.82 if start[0] is None else 1 - start[0]
    end_y = end[1] if end[1] is not None else 0.2 if start[1] is None else 1 - start[1]
    return (1 - end_x if start[0] is None else start[0], 1 - end_y if start[1] is None else start[1]), (end_x, end_y)


def _find_depth(text: str) -> int:
    if re.search(r"\b(away|distance|background)\b", text):
        return -1
    return 1 if re.search(r"\b(closer|nearer|camera|us|viewer|foreground)\b", text) else 0
