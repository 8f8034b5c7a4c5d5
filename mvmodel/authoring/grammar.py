"""Sentences about motion, understood by a small fixed grammar: who, which verbs in which order, where to, how often.

"a dog runs from left to right, jumps twice" becomes one actor with two moves at the same time. Nothing is learned and
nothing is guessed silently: `Story.assumptions` says what the sentence leaves open and what was taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mvmodel.authoring import lexicon as words
from mvmodel.authoring.moves import OVERLAYS, Move, read_move
from mvmodel.authoring.tokens import is_verb, lead_begins, split_words, subjects, without_subject
from mvmodel.errors import InputError


@dataclass(frozen=True)
class Actor:
    """Who moves: the noun, how many of it, and what it does, in order."""

    noun: str
    number: int = 1
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True)
class Story:
    """What a sentence says. assumptions: sentences about what it leaves open and what was taken instead."""

    actors: tuple[Actor, ...]
    assumptions: tuple[str, ...] = field(default=())


def parse_sentence(sentence: str) -> Story:
    """Read a sentence. Raises InputError when it has no verb of motion, or nobody who moves."""
    tokens = split_words(sentence)
    verbs = [index for index in range(len(tokens)) if is_verb(tokens, index)]
    if not verbs:
        known = ", ".join(next(iter(verbs)) for verbs in words.VERBS.values())
        raise InputError(f"{sentence!r} has no verb of motion; use one such as {known}")
    assumptions: list[str] = []
    casts: list[tuple[str, int]] = []
    done: dict[str, list[Move]] = {}
    numbers: dict[str, int] = {}
    before: Move | None = None
    lead = tokens[: verbs[0]]
    reverse: list[str] = []
    for position, index in enumerate(verbs):
        stop = verbs[position + 1] if position + 1 < len(verbs) else len(tokens)
        cut = lead_begins(tokens, index + 1, stop) if position + 1 < len(verbs) else stop
        own, next_lead = tokens[index + 1 : cut], tokens[cut:stop]
        named = subjects(lead)
        if named:
            casts = named
        if not casts:
            raise InputError(f"{sentence!r} does not say who moves; begin with a thing, as in 'a ball {tokens[index]}'")
        extra: list[str] = []
        if "then" in own:  # "left and then right": a second way with the same verb
            at = own.index("then")
            own, extra = [token for token in own[:at] if token != "and"], own[at + 1 :]
        move = read_move(tokens[index], without_subject(lead, named) + own, assumptions)
        if words.LIGHT_FORMS & set(lead):
            number = words.NUMBERS.get(lead[-1], float(lead[-1]) if lead[-1].isdigit() else None) if lead else None
            move = replace(move, count=number if move.count is None else move.count)
        move = replace(
            move, then=_then(lead, before if not named or done.get(casts[0][0]) else None, move, assumptions)
        )
        if "after" in lead and before is not None:
            reverse += [noun for noun, _ in casts]
        for noun, number in casts:
            done.setdefault(noun, []).append(move)
            if extra:
                done[noun].append(read_move(tokens[index], extra, assumptions))
            numbers[noun] = number
        before, lead = move, next_lead
    actors = []
    for noun, moves in done.items():
        ordered = _ending_where_it_stops(moves)
        if noun in reverse:
            ordered = tuple(replace(move, then=True) for move in reversed(ordered))
        actors.append(Actor(noun, numbers[noun], ordered))
    return Story(tuple(actors), tuple(dict.fromkeys(assumptions)))


def _ending_where_it_stops(moves: list[Move]) -> tuple[Move, ...]:
    """ "comes in and stops in the middle": the place is where the way before it ends."""
    ordered = list(moves)
    for index, move in enumerate(ordered[1:]):
        if move.kind == "stay" and move.end != (None, None) and ordered[index].end == (None, None):
            ordered[index] = replace(ordered[index], end=move.end)
    return tuple(ordered)


def _then(lead: list[str], before: Move | None, move: Move, assumptions: list[str]) -> bool:
    """Whether a move begins after the one before it."""
    if before is None:
        return True
    if words.THEN & set(lead) or "after" in lead or move.kind == "stay" or before.kind == "stay":
        return True
    if words.TOGETHER & set(lead) or not lead:
        return False
    overlay = move.kind in OVERLAYS and before.kind not in OVERLAYS and before.kind != "fall"
    if overlay:
        assumptions.append(
            f"it is left open whether {before.verb!r} and {move.verb!r} happen together or one after the other; "
            f"together was taken (say 'then' or 'while')"
        )
        return False
    return True
