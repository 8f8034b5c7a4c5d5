"""The words of a sentence that the grammar does not know. They are named, never swallowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mvmodel.authoring import lexicon
from mvmodel.errors import InputError
from mvmodel.text import pluralize, singularize

_ING_NOUNS = frozenset(
    {"building", "painting", "drawing", "ceiling", "pudding", "earring", "duckling", "starling", "gosling", "sibling"}
    | {"herring", "railing", "awning", "lightning", "darling", "icing", "sapling", "hatchling", "dumpling"}
)
_PLURAL_LOOKS = frozenset({"sports", "news", "arms", "glass", "bus", "grass", "moss", "octopus", "walrus", "cactus"})
"""Nouns that end like plurals, or stand before other nouns as if they were."""
_DIRECTIONS = frozenset({"to", "towards", "toward", "from"})


def list_verbs() -> str:
    """The advice for a verb that is not known."""
    return f"use one such as {', '.join(verbs[0] for verbs in lexicon.VERBS.values())}"


def find_unknown_verbs(tokens: Sequence[str]) -> list[str]:
    """The words of a sentence that look like verbs, and that the grammar does not know."""
    return [token for token in tokens[1:] if token not in lexicon.KNOWN_WORDS and _looks_like_a_verb(token)]


def describe_unknown_verb(tokens: Sequence[str]) -> str:
    """ " that is known ('sneaks' is not)" for a sentence without a known verb, or ""."""
    candidates = find_unknown_verbs(tokens)
    return f" that is known ({candidates[0]!r} is not)" if candidates else ""


def check_noun(words: Sequence[str], number: int, determiner: str) -> None:
    """Raise InputError if a noun with its adjectives ends with a verb, as in "a cat sneaks" and "two cats sneak"."""
    *modifiers, last = words
    plurals = [word for word in modifiers if _is_plural(word)]
    singular = number == 1 and determiner in lexicon.NUMBERS.keys() | {"this", "that", "another"}
    is_verb = (singular and _is_plural(last)) or (bool(plurals) and not _is_plural(last) and not singular)
    if modifiers and (is_verb or _is_participle(last)):
        raise InputError(f"{last!r} is not a verb of motion that is known; {list_verbs()}")


def name_unknown_words(tokens: Sequence[str], verbs: Sequence[int], nouns: Iterable[str]) -> list[str]:
    """A sentence about each phrase that the grammar does not know, such as scenery, which masks do not show.

    tokens: of the sentence. verbs: indices of those that were read as verbs. nouns: of the actors. Raises InputError
    for what looks like an unknown verb.
    """
    actors = {form for noun in nouns for word in noun.split() for form in (word, pluralize(word))}
    sentences: list[str] = []
    index = 0
    while index < len(tokens):
        if not _is_unknown(tokens[index], actors):
            index += 1
            continue
        end = index + 1
        while end < len(tokens) and _is_unknown(tokens[end], actors):
            end += 1
        start = index
        determiners = lexicon.DETERMINERS | lexicon.NUMBERS.keys()
        while start > 0 and start - 1 not in verbs and tokens[start - 1] in determiners:
            start -= 1
        sentences.append(_describe(tokens, start, index, end))
        index = end
    return sentences


def _describe(tokens: Sequence[str], start: int, index: int, end: int) -> str:
    """About the unknown words `index` to `end`, which have a determiner if `start` is before `index`."""
    previous_token = tokens[start - 1] if start else ""
    words = " ".join(tokens[index:end])
    if previous_token in _DIRECTIONS:
        return f"{_quote(tokens, start - 1, end)} names no side of the picture and is left out"
    if previous_token in lexicon.PREPOSITIONS | lexicon.OTHER_PREPOSITIONS:
        return f"{_quote(tokens, start - 1, end)} is scenery, which masks do not show"
    if start < index:
        return f"{_quote(tokens, start, end)} does not move and is left out"
    first = tokens[index]
    leads_clause = previous_token in lexicon.CONNECTORS - {",", ";", "."}
    is_clause = end == index + 1 and (not previous_token or previous_token in lexicon.CONNECTORS)
    if is_clause and not first.endswith("ly") and (leads_clause or _looks_like_a_verb(first)):
        raise InputError(f"{first!r} is not a verb of motion that is known; {list_verbs()}, or leave it out")
    return f"{words!r} is not understood and left out"


def _quote(tokens: Sequence[str], start: int, end: int) -> str:
    return repr(" ".join(tokens[start:end]))


def _is_unknown(token: str, actors: set[str]) -> bool:
    return token not in lexicon.KNOWN_WORDS and token not in actors and not token.isdigit()


def _looks_like_a_verb(token: str) -> bool:
    return _is_plural(token) or _is_participle(token)


def _is_plural(word: str) -> bool:
    """Whether a word ends like a plural, as the third person of a verb does."""
    return word not in _PLURAL_LOOKS and word.endswith("s") and not word.endswith("ss") and singularize(word) != word


def _is_participle(word: str) -> bool:
    """Whether a word ends like "sneaking" or "sneaked", and is none of the nouns that do."""
    stem = word.removesuffix("ing")
    is_ing = stem != word and word not in _ING_NOUNS and any(vowel in stem for vowel in "aeiouy")
    return is_ing or (len(word) > 5 and word.endswith("ed"))
