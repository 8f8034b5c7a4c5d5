"""The little English that prompts are put together from."""

from __future__ import annotations

import re
from collections.abc import Sequence


def with_article(noun: str) -> str:
    """ "a horse", "an owl"; a phrase of several words is left as it is."""
    if " " in noun.strip():
        return noun
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"


def replace_noun(sentence: str, old: str, new: str) -> str:
    """`sentence` with one object's word replaced, its article too: "a horse gallops", "owl" -> "an owl gallops".

    Unchanged where it does not name `old`.
    """
    pattern = rf"\b(?:an?\s+)?{re.escape(old)}(?:e?s)?\b"
    return re.sub(pattern, with_article(new), sentence, count=1, flags=re.IGNORECASE)


def find_object_words(prompt: str, words: Sequence[str]) -> list[str]:
    """The object words that a prompt names, in its order: "a cat and a dog" -> ["cat", "dog"]."""
    tokens = [token.strip(".,;:!?\"'()") for token in prompt.lower().split()]
    word_of_form = {form: word for word in words for form in (word, f"{word}s", f"{word}es")}
    return list(dict.fromkeys(word_of_form[token] for token in tokens if token in word_of_form))
