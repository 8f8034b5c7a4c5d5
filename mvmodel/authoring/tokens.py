"""A sentence's words: which are verbs, and who the nouns in front of a verb are."""

from __future__ import annotations

import re

from mvmodel.authoring import lexicon as words


def split_words(sentence: str) -> list[str]:
    """Words and commas, lower case; turns of phrase that mean one thing become one word."""
    text = sentence.lower().replace("zig-zag", "zigzag").replace("side to side", "sideways")
    text = text.replace("to and fro", "back and forth").replace("comes to a stop", "stops")
    text = re.sub(r"\bin circles?\b|\bin a circle\b", "in-circle", text)
    text = re.sub(r"\bup and down\b", "up-down", text)
    return re.findall(r"[a-z0-9]+(?:[-'][a-z]+)*|[,;.]", text)


def is_verb(tokens: list[str], index: int) -> bool:
    """A verb's form that is no noun here: "a fly", "three jumps" and "over the swing" are nouns."""
    if tokens[index] not in words.FORMS:
        return False
    previous = tokens[index - 1] if index else ""
    if previous in words.DETERMINERS or previous in words.NUMBERS or previous.isdigit():
        return any(token in words.LIGHT_FORMS for token in tokens[max(0, index - 3) : index])
    if index and previous in words.PREPOSITIONS - {"to"} | {"an"}:
        return tokens[index].endswith("ing") and previous == "by"
    return not (index == 0 and len(tokens) > 1 and tokens[1] in words.FORMS)


def lead_begins(tokens: list[str], start: int, stop: int) -> int:
    """Where the words that lead to the next verb begin: at the last connector, or at what names a new actor."""
    for index in range(start, stop):
        if tokens[index] in words.CONNECTORS and not _joins_places(tokens, index, stop):
            return index
    return stop


def _joins_places(tokens: list[str], index: int, stop: int) -> bool:
    """ "up and to the left", "back and forth": an "and" between two places is no connector."""
    rest = [token for token in tokens[index + 1 : stop] if token not in {"to", "the", "towards", "into", "on", "in"}]
    nearby = rest[:1]
    said = tokens[index - 1] in words.POSITIONS or tokens[index - 1] == "back"
    return tokens[index] == "and" and said and bool(nearby) and (nearby[0] in words.POSITIONS or nearby[0] == "forth")


def subjects(lead: list[str]) -> list[tuple[str, int]]:
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
        if noun and not of_place and noun[-1] not in words.POSITIONS and noun[0] not in words.POSITIONS:
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


def without_subject(lead: list[str], named: list[tuple[str, int]]) -> list[str]:
    """What a lead says about the verb: places and adverbs, not the actors and not their number."""
    taken = {part for noun, _ in named for word in noun.split() for part in (word, word + "s")}
    if not named:
        return lead
    return [token for token in lead if token not in taken and token not in words.NUMBERS]
