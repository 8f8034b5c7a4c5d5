"""Words and names: the little English that prompts need, and what may name a motion or a file."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from mvmodel.errors import InputError

if TYPE_CHECKING:
    import inflect

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""A motion's name: safe in paths, web addresses and command lines. Match it whole, with `fullmatch`."""
FILE_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}")
"""The name of a request or of a library's entry, which becomes a file's name. Match it whole, with `fullmatch`."""

_LATIN_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "þ": "th", "ħ": "h"}
)
"""Latin letters that Unicode does not take apart into a letter a-z and an accent."""
_HASH_DIGITS = 6


@cache
def _inflect_engine() -> inflect.engine:
    import inflect  # here, because settings and Dagster's definitions import this module

    return inflect.engine()


def printable_name(name: str) -> str:
    r"""A file's name as it can be printed and stored: bytes that are not UTF-8 become escapes such as "caf\xe9.mp4"."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def slugify(text: str, max_length: int = 63, keep_underscores: bool = True) -> str:
    """Turn text into a slug: "Gallop (fast)" -> "gallop-fast". Empty if `text` has no letter a-z and no digit.

    Without `keep_underscores`, an underscore becomes a dash like any other character.
    """
    pattern = r"[^a-z0-9_]+" if keep_underscores else r"[^a-z0-9]+"
    return re.sub(pattern, "-", text.strip().lower()).strip("-_")[:max_length]


def motion_slug(label: str) -> str:
    """Turn a motion's label in any script into its slug: "Gallop (fast)" -> "gallop-fast", "Café" -> "cafe".

    Accents are dropped. Letters of other scripts cannot be spelled; a short hash of the label stands for them, so that
    different labels stay different: "跑" -> "motion-" and six digits. Raises InputError for a label without any letter,
    digit or pictograph.
    """
    latin = unicodedata.normalize("NFKD", label.casefold().translate(_LATIN_LETTERS))
    latin = "".join(character for character in latin if not unicodedata.combining(character))
    slug = slugify(latin)
    foreign = [character for character in latin if character.isalnum() and not character.isascii()]
    pictographs = [character for character in latin if unicodedata.category(character) == "So"]
    if foreign or (pictographs and not slug):
        name = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
        slug = f"{slug[: 62 - _HASH_DIGITS].strip('-_') or 'motion'}-{digest}"
    if not SLUG.fullmatch(slug):
        raise InputError(f"the motion name {label!r} needs at least one letter or digit; rename it in the table")
    return slug


@cache
def with_article(noun: str) -> str:
    """Put the indefinite article before a noun: "a horse", "an owl", "an hour". Phrases of several words stay as is."""
    if not noun.strip() or " " in noun.strip():
        return noun
    return str(_inflect_engine().a(noun))


@cache
def pluralize(noun: str) -> str:
    """Form a noun's plural: "dog" -> "dogs", "mouse" -> "mice", "fish" -> "fish"."""
    return str(_inflect_engine().plural_noun(noun))


@cache
def singularize(noun: str) -> str:
    """Form a plural noun's singular: "dogs" -> "dog", "red boxes" -> "red box". A singular noun stays as it is."""
    return str(_inflect_engine().singular_noun(noun) or noun)


def replace_noun(sentence: str, old: str, new: str) -> str:
    """Replace the first mention of a noun; its article and its number follow.

    "a horse gallops", "horse", "owl" -> "an owl gallops"; "two dogs run", "dog", "cat" -> "two cats run". The sentence
    is returned unchanged if it does not mention `old`.
    """
    plurals = "|".join(re.escape(form) for form in sorted(_plural_forms(old), key=len, reverse=True))
    pattern = rf"\b(?P<article>an?\s+)?(?:(?P<plural>{plurals})|{re.escape(old)})\b"

    def replacement(match: re.Match[str]) -> str:
        if match["article"]:
            return with_article(new)
        return pluralize(new) if match["plural"] else new

    return re.sub(pattern, replacement, sentence, count=1, flags=re.IGNORECASE)


def find_object_words(prompt: str, words: Sequence[str]) -> list[str]:
    """Find which of the object words a prompt mentions, in the prompt's order: "a cat and two dogs" -> ["cat", "dog"].

    Words and plurals are compared in lower case.
    """
    tokens = [token.strip(".,;:!?\"'()") for token in prompt.lower().split()]
    word_of_form = {form: word for word in words for form in (word, *_plural_forms(word))}
    return list(dict.fromkeys(word_of_form[token] for token in tokens if token in word_of_form))


@cache
def _plural_forms(word: str) -> tuple[str, ...]:
    """A word's regular spellings in the plural, and its irregular one where it has one."""
    forms = dict.fromkeys((f"{word}s", f"{word}es", pluralize(word)))
    return tuple(form for form in forms if form != word)


def describe_cut_text(model: str, text: str, cut: str) -> str:
    """A sentence for a prompt whose end, `cut`, a model does not read."""
    return f'{model} does not read the end of "{text[:40]}…": "{cut}"; shorten it'
