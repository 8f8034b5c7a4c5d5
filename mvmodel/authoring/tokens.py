"""A sentence's words: which of them are verbs, and which nouns in front of a verb are its subjects."""

from __future__ import annotations

import re

from mvmodel.authoring import lexicon
from mvmodel.authoring.unknown_words import check_noun
from mvmodel.text import pluralize, singularize

_LY_NOUNS = frozenset({"family", "anomaly", "assembly", "lovely", "friendly", "lonely", "deadly", "woolly", "curly"})
"""Nouns and adjectives that end like adverbs."""


def split_words(sentence: str) -> list[str]:
    """Split a sentence into lower-case words and punctuation. Phrases that mean one thing become one word."""
    text = sentence.lower().replace("zig-zag", "zigzag").replace("side to side", "sideways")
    text = text.replace("to and fro", "back and forth").replace("comes to a stop", "stops")
    text = re.sub(r"\bback(wards?)? and for(th|wards?)\b", "back and forth", text)
    text = re.sub(r"\bin circles?\b|\bin a circle\b", "in-circle", text)
    text = re.sub(r"\b(away from|off from) (each other|one another)\b|\bapart\b", "from-each-other", text)
    text = re.sub(r"\bin opposite directions\b", "from-each-other", text)
    text = re.sub(r"\b(past|by|beside) (each other|one another)\b", "crossing-each-other", text)
    text = re.sub(r"\b((towards?|to|at|into|with) )?(each other|one another)\b", "each-other", text)
    text = re.sub(r"\b(take|lift|blast)s? off\b|\btook off\b", "ascends", text)
    text = re.sub(r"\b(stands?|stood|sits?|sat|lies?|lay|lying|standing|sitting) (up|down)\b", r"\1", text)
    text = text.replace("side by side", "side-by-side")
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
            check_noun(words, number, token)
            subjects.append((singularize(noun) if number > 1 else noun, max(1, number)))
        index = max(end, index + 1)
    return subjects


def find_bare_subjects(lead: list[str], assumptions: list[str]) -> list[tuple[str, int]]:
    """The noun without a determiner that a sentence begins with: "birds fly", "pink helicopter flies"."""
    words: list[str] = []
    vague = next((lexicon.VAGUE_COUNTS[token] for token in lead[:1] if token in lexicon.VAGUE_COUNTS), None)
    for token in lead[1 if vague else 0 :]:
        if _ends_noun(token) or token in lexicon.PRONOUNS or token in lexicon.POSITIONS or _is_adverb(token):
            break
        words.append(token)
    if not words or not words[-1].isalpha():
        return []
    noun = " ".join(words)
    check_noun(words, 1, "")
    if singularize(noun) == noun or words[-1].endswith("ss"):
        return [(noun, 1)]
    number = int(vague or 2)
    assumptions.append(f"{' '.join(lead[: len(words) + bool(vague)])!r} leaves the number open; {number} was taken")
    return [(singularize(noun), number)]


def _ends_noun(token: str) -> bool:
    return (
        token in lexicon.CONNECTORS
        or token in lexicon.PREPOSITIONS
        or token in lexicon.SPEEDS
        or token in lexicon.DETERMINERS
        or token in lexicon.HELPER_FORMS
        or token in lexicon.LIGHT_FORMS
        or token in lexicon.NUMBERS
        or _is_adverb(token)
        or token in {"very", "that", "which", "who", "is", "are", "again"}
    )


def _is_adverb(token: str) -> bool:
    return token.endswith("ly") and len(token) > 5 and not token.endswith("fly") and token not in _LY_NOUNS


def remove_subjects(lead: list[str], subjects: list[tuple[str, int]]) -> list[str]:
    """What a lead says about the verb: positions and adverbs, without the subjects and their numbers."""
    if not subjects:
        return lead
    nouns = {form for noun, _ in subjects for word in noun.split() for form in (word, pluralize(word), word + "s")}
    return [token for token in lead if token not in nouns and token not in lexicon.NUMBERS]
