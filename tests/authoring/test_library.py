"""The library: search by word, caption and motion; its motions applied to other shapes."""

from pathlib import Path

import numpy as np
import pytest

from mvmodel.authoring.library import Library, LibraryEntry, extract_keywords, retarget, write_library
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.geometry import centroid
from mvmodel.world.render import HELD_OUT, random_clip

KINDS = ("gallop", "bounce", "spin", "grow", "zigzag")


@pytest.fixture(scope="module")
def entries() -> list[LibraryEntry]:
    entries = []
    for number, motion in enumerate(KINDS):
        for index, noun in enumerate(("horse", "ball")):
            seed = (HELD_OUT, 77_000 + index, number)
            clip = random_clip(seed, frames=12, side=96, motion=motion, objects=(noun,), pan=0.0, facing=1)
            entries.append(LibraryEntry(f"{noun}-{motion}", MaskSequence(clip.masks), clip.caption, motion, "render"))
    return entries


@pytest.fixture(scope="module")
def library(entries, tmp_path_factory) -> Library:
    return write_library(tmp_path_factory.mktemp("library") / "lib", entries)


def test_words_find_verbs_in_any_form(library: Library) -> None:
    for query in ("gallop", "galloping", "something that gallops"):
        results = library.search(query)
        assert {result.name for result in results} == {"horse-gallop", "ball-gallop"}, query
    first = library.search("a ball bounces")[0]
    assert first.name == "ball-bounce" and "100%" in first.reason
    assert library.search("submarine") == []
    assert extract_keywords("A dog gallops in the snow") == {"dog", "gallop", "snow"}


def test_embeddings_rank_entries_that_share_the_same_words(entries, tmp_path: Path) -> None:
    def embed(texts):
        rows = np.array([[1.0, 0.0] if "horse" in text or "steed" in text else [0.0, 1.0] for text in texts])
        return rows

    library = write_library(tmp_path / "lib", entries, embed)
    assert all("horse" in result.name for result in library.search("steed", embed))


def test_captions_that_do_not_exist_are_not_scored(entries, tmp_path: Path) -> None:
    def embed(texts):
        return np.array([[1.0, 0.0] if "gallop" in text else [0.0, 1.0] for text in texts])

    bare = [LibraryEntry(entry.name, entry.sequence, "", entry.motion) for entry in entries[:4]]
    hits = write_library(tmp_path / "a", bare, embed).search("gallop", embed)
    assert hits and not any("caption" in hit.reason for hit in hits)
    some = write_library(tmp_path / "b", [*bare, *entries[4:]], embed).search("gallop", embed, limit=9)
    assert not any("caption" in hit.reason for hit in some if not hit.caption)


def test_search_by_motion(entries, tmp_path: Path) -> None:
    horses = write_library(tmp_path / "lib", [entry for entry in entries if entry.name.startswith("horse")])
    for entry in entries:
        if entry.name.startswith("ball") and entry.motion not in ("spin", "gallop"):  # a ball shows no angle
            assert horses.search("", moves_like=entry.sequence)[0].motion == entry.motion


def test_retargeting_changes_length_position_size_and_direction(library: Library) -> None:
    masks = library.sequence("horse-gallop")
    shape = np.zeros((20, 30), bool)
    shape[2:18, 2:28] = True
    result = retarget(masks, 20, (64, 80), shape, heading=-1.0, coverage=0.05)
    assert result.masks.shape == (20, 64, 80)
    assert centroid(result.masks[-1])[0] < centroid(result.masks[0])[0] - 10
    assert result.coverage().mean() == pytest.approx(0.05, rel=0.15)


def test_mistakes_are_named(library: Library, entries, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="similar names: horse-gallop"):
        library.sequence("horse-galop")
    with pytest.raises(InputError, match="no library"):
        Library.load(tmp_path)
    with pytest.raises(InputError, match="cannot name an entry"):
        write_library(tmp_path / "a", [LibraryEntry("../x", entries[0].sequence)])
    with pytest.raises(InputError, match="each name only once"):
        write_library(tmp_path / "a", [entries[0], entries[0]])
    assert write_library(tmp_path / "none", []).search("gallop") == []


def test_a_library_that_another_scorer_wrote_is_embedded_again(tmp_path, entries):
    def narrow(texts):
        return np.array([[len(text), 1.0] for text in texts], float)

    def wide(texts):
        return np.array([[text.count("o"), text.count("a"), 1.0] for text in texts], float)

    library = write_library(tmp_path / "lib", entries, narrow)
    other_library = write_library(tmp_path / "other", entries, wide)
    query = "something over there"
    assert library.search(query, wide) == other_library.search(query, wide)
    assert library.search(query, wide) != [], "captions are compared although no word is shared"
