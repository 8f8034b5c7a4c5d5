"""Sentences about motion, understood by a small fixed grammar: who, which verbs in which order, where to, how often.

"a dog runs from left to right, jumps twice" becomes one actor with two moves at the same time. Nothing is learned and
nothing is guessed silently: `Story.doubts` says what the sentence leaves open and what was taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from mvmodel.authoring import lexicon as words
from mvmodel.errors import InputError

_OVERLAYS = frozenset({"jump", "spin", "grow", "shrink", "sway", "shake", "flap"})
"""Kinds that can happen on the way of another motion."""
Place = tuple[float | None, float | None]


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
    start: Place = (None, None)
    end: Place = (None, None)
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


@dataclass(frozen=True)
class Actor:
    """Who moves: the noun, how many of it, and what it does, in order."""

    noun: str
    number: int = 1
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True)
class Story:
    """What a sentence says. doubts: sentences about what it leaves open and what was taken instead."""

    actors: tuple[Actor, ...]
    doubts: tuple[str, ...] = field(default=())


def understand(sentence: str) -> Story:
    """Read a sentence. Raises InputError when it has no verb of motion, or nobody who moves."""
    tokens = _tokens(sentence)
    verbs = [index for index in range(len(tokens)) if _is_verb(tokens, index)]
    if not verbs:
        known = ", ".join(next(iter(verbs)) for verbs in words.VERBS.values())
        raise InputError(f"{sentence!r} has no verb of motion; use one such as {known}")
    doubts: list[str] = []
    casts: list[tuple[str, int]] = []
    done: dict[str, list[Move]] = {}
    numbers: dict[str, int] = {}
    before: Move | None = None
    lead = tokens[: verbs[0]]
    reverse: list[str] = []
    for position, index in enumerate(verbs):
        stop = verbs[position + 1] if position + 1 < len(verbs) else len(tokens)
        cut = _lead_begins(tokens, index + 1, stop) if position + 1 < len(verbs) else stop
        own, next_lead = tokens[index + 1 : cut], tokens[cut:stop]
        named = _subjects(lead)
        if named:
            casts = named
        if not casts:
            raise InputError(f"{sentence!r} does not say who moves; begin with a thing, as in 'a ball {tokens[index]}'")
        extra: list[str] = []
        if "then" in own:  # "left and then right": a second way with the same verb
            at = own.index("then")
            own, extra = [token for token in own[:at] if token != "and"], own[at + 1 :]
        move = _move(tokens[index], _without_subject(lead, named) + own, doubts)
        if words.LIGHT_FORMS & set(lead):
            number = words.NUMBERS.get(lead[-1], float(lead[-1]) if lead[-1].isdigit() else None) if lead else None
            move = replace(move, count=number if move.count is None else move.count)
        move = replace(move, then=_then(lead, before if not named or done.get(casts[0][0]) else None, move, doubts))
        if "after" in lead and before is not None:
            reverse += [noun for noun, _ in casts]
        for noun, number in casts:
            done.setdefault(noun, []).append(move)
            if extra:
                done[noun].append(_move(tokens[index], extra, doubts))
            numbers[noun] = number
        before, lead = move, next_lead
    actors = []
    for noun, moves in done.items():
        ordered = _ending_where_it_stops(moves)
        if noun in reverse:
            ordered = tuple(replace(move, then=True) for move in reversed(ordered))
        actors.append(Actor(noun, numbers[noun], ordered))
    return Story(tuple(actors), tuple(dict.fromkeys(doubts)))


def _ending_where_it_stops(moves: list[Move]) -> tuple[Move, ...]:
    """ "comes in and stops in the middle": the place is where the way before it ends."""
    ordered = list(moves)
    for index, move in enumerate(ordered[1:]):
        if move.kind == "stay" and move.end != (None, None) and ordered[index].end == (None, None):
            ordered[index] = replace(ordered[index], end=move.end)
    return tuple(ordered)


def _tokens(sentence: str) -> list[str]:
    text = sentence.lower().replace("zig-zag", "zigzag").replace("side to side", "sideways")
    text = text.replace("to and fro", "back and forth").replace("comes to a stop", "stops")
    text = re.sub(r"\bin circles?\b|\bin a circle\b", "in-circle", text)
    text = re.sub(r"\bup and down\b", "up-down", text)
    return re.findall(r"[a-z0-9]+(?:[-'][a-z]+)*|[,;.]", text)


def _is_verb(tokens: list[str], index: int) -> bool:
    """A verb's form that is no noun here: "a fly", "three jumps" and "over the swing" are nouns."""
    if tokens[index] not in words.FORMS:
        return False
    previous = tokens[index - 1] if index else ""
    if previous in words.DETERMINERS or previous in words.NUMBERS or previous.isdigit():
        return any(token in words.LIGHT_FORMS for token in tokens[max(0, index - 3) : index])
    if index and previous in words.PREPOSITIONS - {"to"} | {"an"}:
        return tokens[index].endswith("ing") and previous == "by"
    return not (index == 0 and len(tokens) > 1 and tokens[1] in words.FORMS)


def _lead_begins(tokens: list[str], start: int, stop: int) -> int:
    """Where the words that lead to the next verb begin: at the last connector, or at what names a new actor."""
    for index in range(start, stop):
        if tokens[index] in words.CONNECTORS and not _joins_places(tokens, index, stop):
            return index
    return stop


def _joins_places(tokens: list[str], index: int, stop: int) -> bool:
    """ "up and to the left", "back and forth": an "and" between two places is no connector."""
    rest = [token for token in tokens[index + 1 : stop] if token not in {"to", "the", "towards", "into", "on", "in"}]
    nearby = rest[:1]
    said = tokens[index - 1] in words.PLACES or tokens[index - 1] == "back"
    return tokens[index] == "and" and said and bool(nearby) and (nearby[0] in words.PLACES or nearby[0] == "forth")


def _subjects(lead: list[str]) -> list[tuple[str, int]]:
    """Nouns in front of a verb, each with its number: "two dogs and a cat" -> dog 2, cat 1."""
    found: list[tuple[str, int]] = []
    index = 0
    while index < len(lead):
        token = lead[index]
        number = int(words.NUMBERS.get(token, 1)) if not token.isdigit() else int(token)
        determined = token in words.DETERMINERS or (token in words.NUMBERS and number >= 1) or token.isdigit()
        noun: list[str] = []
        step = index + 1
        while determined and step < len(lead) and not _ends_noun(lead[step]):
            noun.append(lead[step])
            step += 1
        of_place = index and lead[index - 1] in words.PREPOSITIONS
        if noun and not of_place and noun[-1] not in words.PLACES and noun[0] not in words.PLACES:
            found.append((_singular(" ".join(noun)) if number > 1 else " ".join(noun), max(1, number)))
        index = max(step, index + 1)
    return found


def _ends_noun(token: str) -> bool:
    return (
        token in words.CONNECTORS
        or token in words.PREPOSITIONS
        or token in words.SPEEDS
        or token in words.DETERMINERS
        or token in words.HELPER_FORMS
        or token in words.LIGHT_FORMS
        or token in words.NUMBERS
        or token in {"very", "that", "which", "who", "is", "are", "again"}
    )


def _singular(noun: str) -> str:
    if noun.endswith(("ches", "shes", "sses", "xes")):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun


def _without_subject(lead: list[str], named: list[tuple[str, int]]) -> list[str]:
    """What a lead says about the verb: places and adverbs, not the actors and not their number."""
    taken = {part for noun, _ in named for word in noun.split() for part in (word, word + "s")}
    if not named:
        return lead
    return [token for token in lead if token not in taken and token not in words.NUMBERS]


def _then(lead: list[str], before: Move | None, move: Move, doubts: list[str]) -> bool:
    """Whether a move begins after the one before it."""
    if before is None:
        return True
    if words.THEN & set(lead) or "after" in lead or move.kind == "stay" or before.kind == "stay":
        return True
    if words.TOGETHER & set(lead) or not lead:
        return False
    overlay = move.kind in _OVERLAYS and before.kind not in _OVERLAYS and before.kind != "fall"
    if overlay:
        doubts.append(
            f"it is left open whether {before.verb!r} and {move.verb!r} happen together or one after the other; "
            f"together was taken (say 'then' or 'while')"
        )
        return False
    return True


def _move(form: str, said: list[str], doubts: list[str]) -> Move:
    """A verb and the words that belong to it."""
    verb = words.FORMS[form]
    kind = words.KIND_OF[verb]
    text = " ".join(said)
    start, end, across = _places(text, kind, doubts)
    count = _count(said, kind, doubts)
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
    if "up-down" in said and kind not in _OVERLAYS:
        kind = "jump"
    come_in = kind == "enter" or bool(re.search(r"^in(?![-a-z])(?! the| a)|\binto view\b|\bin from\b", text))
    if across and kind in ("travel", "fly"):
        pass
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


_PLACE = "|".join(sorted(words.PLACES, key=len, reverse=True))
_SPOT = (
    rf"(?:(?:the|its|very|far|edge|side|of|picture) )*((?:{_PLACE})(?:[ -](?:and |to the |and to the )?(?:{_PLACE}))?)"
)


def _places(text: str, kind: str, doubts: list[str]) -> tuple[Place, Place, bool]:
    """Where a move begins and ends, and whether it goes across the picture."""
    start: Place = (None, None)
    end: Place = (None, None)
    text = text.replace(" towards ", " to ").replace(" toward ", " to ").replace(" onto ", " to ")
    text = re.sub(r"^(towards|toward|onto|into)\b", "to", text).replace(" into ", " to ")
    if found := re.search(rf"\b{_SPOT} to {_SPOT}\b", text):
        start, end = _spot(found.group(1)), _spot(found.group(2))
        text = text.replace(found.group(0), " ")
    for pattern, which in (
        (rf"\b(?:from|starting (?:on|at|in)|starts (?:on|at|in)) {_SPOT}", "start"),
        (rf"\bto {_SPOT}", "end"),
    ):
        if found := re.search(pattern, text):
            if which == "start":
                start = _filled(start, _spot(found.group(1)))
            else:
                end = _filled(end, _spot(found.group(1)))
            text = text.replace(found.group(0), " ")
    if found := re.search(rf"\b(?:on|at|in) {_SPOT}", text):
        if kind in ("leave", "fall", "rise") or re.search(r"\b(out|off)\b", text):
            end = _filled(end, _spot(found.group(1)))
        elif kind == "enter":
            start = _filled(start, _spot(found.group(1)))
        elif kind == "stay":
            end = _filled(end, _spot(found.group(1)))
        else:
            start = _filled(start, _spot(found.group(1)))
        text = text.replace(found.group(0), " ")
    if found := re.search(rf"\b((?:{_PLACE})(?: and (?:to the )?(?:{_PLACE}))?)\b", text):
        end = _filled(end, _spot(found.group(1)))
    across = bool(re.search(r"\b(across|past|through)\b", text)) and kind in ("travel", "fly", "zigzag")
    if across and end == (None, None):
        if start[0] is None:
            doubts.append("the sentence does not say which way it crosses the picture; left to right was taken")
            start = (0.15, start[1])
        end = (1 - start[0], end[1]) if start[0] is not None else end
    return start, end, across


def _spot(text: str) -> Place:
    place: Place = (None, None)
    for word in re.findall(r"[a-z]+", text):
        if word in words.PLACES:
            place = _filled(place, words.PLACES[word])
    if re.search("middle|cent", text) and place[1] is None:
        place = (place[0], None)
    return place


def _filled(place: Place, more: Place) -> Place:
    return (more[0] if place[0] is None else place[0], more[1] if place[1] is None else place[1])


def _count(said: list[str], kind: str, doubts: list[str]) -> float | None:
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
            doubts.append(f"{token!r} leaves the number open; {words.VAGUE[token]:g} was taken")
            return words.VAGUE[token]
    return None
