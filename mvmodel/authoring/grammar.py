"""Sentences about motion, parsed by a small fixed grammar: who does what, in which order, where to and how often.

"a dog runs from left to right, jumps twice" becomes one actor with two simultaneous moves. Nothing is learned, and
nothing is assumed silently: `Story.assumptions` lists what the sentence leaves open and what was assumed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mvmodel.authoring import lexicon
from mvmodel.authoring.moves import OVERLAY_KINDS, Move, read_move
from mvmodel.authoring.tokens import (
    find_bare_subjects,
    find_lead,
    find_subjects,
    is_verb,
    remove_subjects,
    split_words,
)
from mvmodel.authoring.unknown_words import describe_unknown_verb, list_verbs, name_unknown_words
from mvmodel.errors import InputError


@dataclass(frozen=True)
class Actor:
    """Who moves: the noun, how many of it there are, and its moves in order."""

    noun: str
    number: int = 1
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True)
class Story:
    """The meaning of a sentence. assumptions: sentences about what it leaves open and what was assumed instead."""

    actors: tuple[Actor, ...]
    assumptions: tuple[str, ...] = field(default=())


def parse_sentence(sentence: str) -> Story:
    """Parse a sentence. Raises InputError if it has no verb of motion, or nobody who moves."""
    tokens = split_words(sentence)
    verbs = _find_verbs(tokens)
    if not verbs:  # "a car accelerates" and nothing else
        pairs = [["goes", token] if token in lexicon.EASING_OF_WORD else [token] for token in tokens]
        tokens = [token for pair in pairs for token in pair]
        verbs = _find_verbs(tokens)
    if not verbs:
        raise InputError(f"{sentence!r} has no verb of motion{describe_unknown_verb(tokens)}; {list_verbs()}")
    builder = _StoryBuilder(sentence)
    lead = tokens[: verbs[0]]
    for index, next_verb in zip(verbs, [*verbs[1:], None], strict=True):
        stop = len(tokens) if next_verb is None else next_verb
        end = stop if next_verb is None else find_lead(tokens, index + 1, stop)
        builder.add_verb(tokens[index], lead, tokens[index + 1 : end])
        lead = tokens[end:stop]
    builder.assumptions += name_unknown_words(tokens, verbs, builder.moves)
    return builder.build()


def _find_verbs(tokens: list[str]) -> list[int]:
    return [index for index in range(len(tokens)) if is_verb(tokens, index)]


class _StoryBuilder:
    """Collects every actor's moves, verb by verb."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        self.subjects: list[tuple[str, int]] = []
        self.moves: dict[str, list[Move]] = {}
        self.numbers: dict[str, int] = {}
        self.reversed_nouns: list[str] = []
        self.previous: Move | None = None
        self.assumptions: list[str] = []

    def add_verb(self, verb: str, lead: list[str], modifiers: list[str]) -> None:
        """Add a verb's move to its subjects, which are the verb before's if the lead names none.

        lead: the words between the verb before and this one that belong to this one. modifiers: the words behind it.
        """
        subjects = find_subjects(lead) or ([] if self.subjects else find_bare_subjects(lead, self.assumptions))
        self.subjects = subjects or self.subjects
        if not self.subjects:
            raise InputError(f"{self.sentence!r} does not say who moves; begin with a thing, as in 'a ball {verb}'")
        second: list[str] = []
        if "then" in modifiers:  # "left and then right": a second path with the same verb
            position = modifiers.index("then")
            second = modifiers[position + 1 :]
            modifiers = [token for token in modifiers[:position] if token != "and"]
        move = read_move(verb, remove_subjects(lead, subjects) + modifiers, self.assumptions)
        if move.relation and sum(number for _, number in self.subjects) < 2:
            raise InputError(f"{self.sentence!r} has one actor, which cannot move relative to another; name two")
        if lexicon.LIGHT_FORMS & set(lead) and move.count is None:
            move = replace(move, count=_number(lead[-1]))
        is_first_move = bool(subjects) and not self.moves.get(self.subjects[0][0])
        move = replace(move, then=is_first_move or _follows(move, lead, self.previous, self.assumptions))
        if "after" in lead and self.previous is not None:
            self.reversed_nouns += [noun for noun, _ in self.subjects]
        for noun, number in self.subjects:
            self.moves.setdefault(noun, []).append(move)
            if second:
                self.moves[noun].append(read_move(verb, second, self.assumptions))
            self.numbers[noun] = number
        self.previous = move

    def build(self) -> Story:
        actors = []
        for noun, moves in self.moves.items():
            ordered = _end_where_it_stops(moves)
            if noun in self.reversed_nouns:
                ordered = tuple(replace(move, then=True) for move in reversed(ordered))
            actors.append(Actor(noun, self.numbers[noun], ordered))
        return Story(tuple(actors), tuple(dict.fromkeys(self.assumptions)))


def _number(token: str) -> float | None:
    return lexicon.NUMBERS.get(token, float(token) if token.isdigit() else None)


def _end_where_it_stops(moves: list[Move]) -> tuple[Move, ...]:
    """In "comes in and stops in the middle", the position is where the path before it ends."""
    ordered = list(moves)
    for index, move in enumerate(ordered[1:]):
        if move.kind == "stay" and move.end != (None, None) and ordered[index].end == (None, None):
            ordered[index] = replace(ordered[index], end=move.end)
    return tuple(ordered)


def _follows(move: Move, lead: list[str], previous: Move | None, assumptions: list[str]) -> bool:
    """Whether a move begins after the previous one, and not together with it."""
    if previous is None:
        return True
    if lexicon.SEQUENCE_WORDS & set(lead) or "after" in lead or move.kind == "stay" or previous.kind == "stay":
        return True
    if lexicon.SIMULTANEITY_WORDS & set(lead) or not lead:
        return False
    may_overlay = move.kind in OVERLAY_KINDS and previous.kind not in OVERLAY_KINDS and previous.kind != "fall"
    if may_overlay:
        assumptions.append(
            f"it is left open whether {previous.verb!r} and {move.verb!r} happen together or one after the other; "
            f"together was taken (say 'then' or 'while')"
        )
    return not may_overlay
