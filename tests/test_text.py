"""Articles, plurals, names: what prompts are put together from."""

import pytest

from mvmodel.errors import InputError
from mvmodel.text import (
    FILE_STEM,
    SLUG,
    find_object_words,
    motion_slug,
    pluralize,
    replace_noun,
    singularize,
    slugify,
    with_article,
)
from mvmodel.world.sprites import OBJECTS


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("horse", "a horse"),
        ("owl", "an owl"),
        ("hour", "an hour"),
        ("unicorn", "a unicorn"),
        ("heir", "an heir"),
        ("red ball", "red ball"),
        ("", ""),
    ],
)
def test_article(noun, phrase) -> None:
    assert with_article(noun) == phrase


def test_articles_of_the_tiny_packs_objects_are_those_it_was_trained_with() -> None:
    for noun in OBJECTS:
        assert with_article(noun) == (f"an {noun}" if noun[0] in "aeiou" else f"a {noun}")


@pytest.mark.parametrize(
    ("sentence", "old", "new", "expected"),
    [
        ("a horse gallops over a meadow", "horse", "owl", "an owl gallops over a meadow"),
        ("two dogs run", "dog", "cat", "two cats run"),
        ("two foxes run", "fox", "mouse", "two mice run"),
        ("three mice run", "mouse", "fish", "three fish run"),
        ("the dog runs", "dog", "owl", "the owl runs"),
        ("A dog chases a dog", "dog", "unicorn", "a unicorn chases a dog"),
        ("a hotdog", "dog", "cat", "a hotdog"),
    ],
)
def test_replace_noun(sentence, old, new, expected) -> None:
    assert replace_noun(sentence, old, new) == expected


@pytest.mark.parametrize(
    ("singular", "plural"), [("dog", "dogs"), ("bus", "buses"), ("butterfly", "butterflies"), ("fish", "fish")]
)
def test_number(singular, plural) -> None:
    assert pluralize(singular) == plural
    assert singularize(plural) == singular


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("A cat, and two dogs!", ["cat", "dog"]), ("two butterflies and mice", ["butterfly", "mouse"]), ("catalogue", [])],
)
def test_find_object_words(prompt, words) -> None:
    assert find_object_words(prompt, ["butterfly", "cat", "dog", "mouse"]) == words


def test_slugs() -> None:
    assert slugify(" Gallop (fast) ") == "gallop-fast"
    assert slugify("left_to_right") == "left_to_right" and slugify("a_b", keep_underscores=False) == "a-b"
    assert slugify("(!)") == "" and len(slugify("x" * 90)) == 63
    assert SLUG.fullmatch("gallop-fast") and not SLUG.fullmatch("../x") and not SLUG.fullmatch("gallop\n")
    assert FILE_STEM.fullmatch("Gallop-01") and not FILE_STEM.fullmatch("a.b") and not FILE_STEM.fullmatch("a/b")


@pytest.mark.parametrize(
    ("label", "slug"),
    [(" Gallop (fast) ", "gallop-fast"), ("run/jump", "run-jump"), ("Café", "cafe"), ("Fuß—lauf", "fuss-lauf")]
    + [("x" * 90, "x" * 63), ("ｊｕｍｐ²", "jump2"), ("Øvre løb", "ovre-lob")],
)
def test_motion_labels_in_latin_letters(label: str, slug: str) -> None:
    assert motion_slug(label) == slug


def test_motion_labels_in_other_scripts() -> None:
    labels = ["跑", "走", "跑 jump", "走 jump", "Бег", "ходьба", "جري", "दौड़", "🐎", "走" * 80, "跑" + "x" * 90]
    slugs = [motion_slug(label) for label in labels]
    assert len(set(slugs)) == len(labels) and all(SLUG.fullmatch(slug) for slug in slugs)
    assert slugs[0] == motion_slug(" 跑 ") == "motion-d67469" and slugs[2].startswith("jump-")
    assert motion_slug("БЕГ") == motion_slug("бег")
    for label in ("--", "  ", "?!"):
        with pytest.raises(InputError, match="rename it"):
            motion_slug(label)
