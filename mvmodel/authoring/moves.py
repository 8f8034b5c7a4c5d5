"""One move of a sentence: a verb and the words that belong to it, with where to, how often, how fast and how far."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mvmodel.authoring import lexicon
from mvmodel.authoring.positions import Position, find_positions

OVERLAY_KINDS = frozenset({"jump", "spin", "grow", "shrink", "sway", "shake", "flap"})
"""Kinds of moves that can happen while another move goes somewhere."""


@dataclass(frozen=True)
class Move:
    """One thing that an actor does.

    kind: a key of `lexicon.VERBS`. verb: the verb as it stands in the sentence. start, end: x and y in shares of the
    picture; a coordinate is None if the sentence leaves it open. out: ends beyond the picture's edge. come_in: starts
    beyond it. back: ends where it began. count: how often; None if the sentence does not say. speed, amount: factors on
    the speed and on the distance or height. easing: a key of `paths.EASINGS`, or "". clockwise: sense of rotation.
    depth: -1 goes away from the camera, 1 comes nearer. then: begins after the move before it, else together with it.
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
    if "in-circle" in modifiers:
        kind = "circle"
    back = kind == "return" or bool(re.search(r"\b(back(?! and)|where it (started|began))\b", text))
    if "forth" in modifiers:
        back, count = True, count or 1.0
    if "up-down" in modifiers and kind not in OVERLAY_KINDS:
        kind = "jump"
    come_in = kind == "enter" or bool(re.search(r"^in(?![-a-z])(?! the| a)|\binto view\b|\bin from\b", text))
    return Move(
        kind=kind,
        verb=form,
        start=start,
        end=end,
        out=out,
        come_in=come_in,
        back=back,
        count=count,
        speed=_find_speed(modifiers),
        amount=next((lexicon.AMOUNTS[token] for token in modifiers if token in lexicon.AMOUNTS), 1.0),
        easing=next((lexicon.EASING_OF_WORD[token] for token in modifiers if token in lexicon.EASING_OF_WORD), ""),
        clockwise=not re.search(r"counter-?\s?clockwise|anti-?\s?clockwise", text),
        depth=_find_depth(text),
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


def _find_depth(text: str) -> int:
    if re.search(r"\b(away|distance|background)\b", text):
        return -1
    return 1 if re.search(r"\b(closer|nearer|camera|us|viewer|foreground)\b", text) else 0
