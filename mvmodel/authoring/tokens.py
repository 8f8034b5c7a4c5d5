"""A sentence's words: which of them are verbs, and which nouns in front of a verb are its subjects."""

from __future__ import annotations

import re

from mvmodel.authoring import lexicon
from mvmodel.text import pluralize, singularize


def split_words(sentence: str) -> list[str]:
    """Split a sentence into lower-case words and punctuation. Phrases that mean one thing become one word."""
    text = sentence.lower().replace("zig-zag", "zigzag").replace("side to side", "sideways")
    text = text.replace("to and fro", "back and forth").replace("comes to a stop", "stops")
    text = re.sub(r"\bin circles?\b|\bin a circle\b", "in-circle", text)
    text = re.sub(r"\bup and down\b", "up-down", text)
    return re.findall(r"[a-z0-9]+(?:[-'][a-z]+)*|[,;.]", text)


def is_verb(tokens: list[str], index: int) -> bool:
    """Whether a token is a verb of motion; in "a fly", "three jumps" and "over the swing" it is a noun."""
    if tokens[index] not in lexicon.VERB_OF_FORM:
        return False
    previous = tokens[index - 1] if index else ""
    if previous in lexicon.DETERMINERS or previous in lexicon.NUMBERS or previous.isdigit():
        return any(token in lexicon.LIGHT_FORMS for token in tokens[max(0, index - 3) : index])
    if index and previous in lexicon.PREPOSITIONS - {"to"} | {"an"}:
        return tokens[index].endswith("ing") and previous == "by"
    return not (index == 0 and len(tokens) > 1 and tokens[1] in lexicon.VERB_OF_FORM)


def find_lead(tokens: list[str], start: int, stop: int) -> int:
    """Index of the first word that leads to the next verb: a connector. `stop` if there is none from `start` on."""
    for index in range(start, stop):
        if tokens[index] in lexicon.CONNECTORS and not _joins_positions(tokens, index, stop):
            return index
    return stop


def _joins_positions(tokens: list[str], index: int, stop: int) -> bool:
    """Whether "and" joins two positions and is no connector, as in "up and to the left" and "back and forth"."""
    following = [
        token for token in tokens[index + 1 : stop] if token not in {"to", "the", "towards", "into", "on", "in"}
    ]
    after_position = tokens[index - 1] in lexicon.POSITIONS or tokens[index - 1] == "back"
    before_position = bool(following) and (following[0] in lexicon.POSITIONS or following[0] == "forth")
    return tokens[index] == "and" and after_position and before_position


def find_subjects(lead: list[str]) -> list[tuple[str, int]]:
    """The nouns in front of a verb, each with its number: "two dogs and a cat" -> dog 2, cat 1."""
    subjects: list[tuple[str, int]] = []
    index = 0
    while index < len(lead):
        token = lead[index]
        number = int(lexicon.NUMBERS.get(token, 1)) if not token.isdigit() else int(token)
        determines = token in lexicon.DETERMINERS or (token in lexicon.NUMBERS and number >= 1) or token.isdigit()
        words: list[str] = []
        end = index + 1
        while determines and end < len(lead) and not _ends_noun(lead[end]):
            words.append(lead[end])
            end += 1
        is_object = index and lead[index - 1] in lexicon.PREPOSITIONS
        if words and not is_object and words[-1] not in lexicon.POSITIONS and words[0] not in lexicon.POSITIONS:
            noun = " ".join(words)
            subjects.append((singularize(noun) if number > 1 else noun, max(1, number)))
        index = max(end, index + 1)
    return subjects


def _ends_noun(token: str) -> bool:
    return (
        token in lexicon.CONNECTORS
        or token in lexicon.PREPOSITIONS
        or token in lexicon.SPEEDS
        or token in lexicon.DETERMINERS
        or token in lexicon.HELPER_FORMS
        or token in lexicon.LIGHT_FORMS
        or token in lexicon.NUMBERS
        or token in {"very", "that", "which", "who", "is", "are", "again"}
    )


def remove_subjects(lead: list[str], subjects: list[tuple[str, int]]) -> list[str]:
    """What a lead says about the verb: positions and adverbs, without the subjects and their numbers."""
    if not subjects:
        return lead
    nouns = {form for noun, _ in subjects for word in noun.split() for form in (word, pluralize(word), word + "s")}
    return [token for token in lead if token not in nouns and token not in lexicon.NUMBERS]
