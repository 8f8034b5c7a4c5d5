"""A verb and the words that belong to it, as one `Move`: where to, how often, how fast, how far."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mvmodel.authoring import lexicon as words
from mvmodel.authoring.positions import Position, find_positions

OVERLAYS = frozenset({"jump", "spin", "grow", "shrink", "sway", "shake", "flap"})
"""Kinds that can happen on the way of another motion."""


@dataclass(frozen=True)
class Move:
    """One thing that an actor does.

    kind: a key of `lexicon.VERBS`. verb: the verb said. start, end: x and y in shares of the picture, None where the
    sentence leaves a coordinate open. out: goes on beyond the picture's edge. come_in: starts beyond it. back: ends
    where it began. count: how often, None when not said. speed: factor. amount: how far or high, factor. ease: a key of
    `paths.EASINGS`. clockwise: turning sense. depth: -1 goes away from the camera, 1 comes nearer. then: begins after
    the move before it, else together with it.
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
    ease: str = ""
    clockwise: bool = True
    depth: int = 0
    then: bool = True


def read_move(form: str, said: list[str], assumptions: list[str]) -> Move:
    """A verb and the words that belong to it."""
    verb = words.FORMS[form]
    kind = words.KIND_OF[verb]
    text = " ".join(said)
    start, end = find_positions(text, kind, assumptions)
    count = count_in(said, kind, assumptions)
    speed = 1.0
    for index, token in enumerate(said):
        if token in words.SPEEDS:
            twice = 2 if index and said[index - 1] in {"very", "really", "extremely"} else 1
            speed *= words.SPEEDS[token] ** twice
    ease = next((words.EASED[token] for token in said if token in words.EASED), "")
    amount = next((words.AMOUNTS[token] for token in said if token in words.AMOUNTS), 1.0)
    depth = 0
    if re.search(r"\b(away|distance|background)\b", text):
        depth = -1
    elif re.search(r"\b(closer|nearer|camera|us|viewer|foreground)\b", text):
        depth = 1
    out = kind == "leave" or bool(
        re.search(r"\b(out of|off) (the |this )?(picture|frame|screen|image|view)|\boff\b", text)
    )
    if kind == "spin" and re.search(r"\b(around|back)\b", text) and count is None and not re.search("clockwise", text):
        kind = "stay"  # "turns around" looks the other way, which a mask hardly shows
    if "in-circle" in said:
        kind = "circle"
    back = kind == "return" or bool(re.search(r"\b(back(?! and)|where it (started|began))\b", text)) or "forth" in said
    if "forth" in said:
        count = count or 1.0
    if "up-down" in said and kind not in OVERLAYS:
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
        speed=speed,
        amount=amount,
        ease=ease,
        clockwise=not re.search(r"counter-?\s?clockwise|anti-?\s?clockwise", text),
        depth=depth,
    )


def count_in(said: list[str], kind: str, assumptions: list[str]) -> float | None:
    """How often: "twice", "three times", "in four hops", "makes two jumps", "once or several times"."""
    for index, token in enumerate(said):
        following = said[index + 1] if index + 1 < len(said) else ""
        if token in words.TIMES:
            return words.TIMES[token]
        number = float(token) if token.isdigit() else words.NUMBERS.get(token)
        counted = following in {"times", "time"} or (following in words.FORMS and token not in {"a", "an"})
        counted |= following in {"turns", "turn", "laps", "rounds", "circles", "loops", "steps", "swings", "flips"}
        if number is not None and counted:
            return number
        if token in words.VAGUE and (following in {"times", "of", "and", "jumps", "hops"} or token == "repeatedly"):
            assumptions.append(f"{token!r} leaves the number open; {words.VAGUE[token]:g} was taken")
            return words.VAGUE[token]
    return None
