"""Requests that name a file, a library's entry or words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mvmodel.authoring.library import Entry, write_library
from mvmodel.errors import InputError
from mvmodel.generation.mask_sources import parse, prepare, resolve
from mvmodel.generation.requests import load_masks, read_requests
from mvmodel.masks import MaskSequence
from mvmodel.world.render import HELD_OUT, random_clip

MASKS = MaskSequence(random_clip((HELD_OUT, 8), frames=6, side=64, motion="glide", pan=0.0).masks)
PACK = SimpleNamespace(info=SimpleNamespace(resolution=64, frames=6, fps=8.0, name="stand-in"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "table").mkdir()
    MASKS.save(tmp_path / "table" / "a.npz")
    return tmp_path / "table"


def test_sources_are_told_apart() -> None:
    assert vars(parse("a.npz")) == {"kind": "file", "value": "a.npz", "edits": ""}
    assert vars(parse("Library: horse | flip | scale 2")) == {
        "kind": "library",
        "value": "horse",
        "edits": "flip | scale 2",
    }
    assert parse("words: a dog runs").value == "a dog runs"
    for wrong in ("", "words:", " | flip"):
        with pytest.raises(InputError, match="name nothing"):
            parse(wrong)


def test_a_table_with_all_kinds_is_read_and_prepared(folder: Path) -> None:
    rows = ["glide,a,a.npz,1,plain", "glide,b,a.npz | flip,2,turned", "glide,c,library: one | move 2 0,3,lent"]
    (folder / "requests.csv").write_text("\n".join(["motion,prompt,masks,seed,name", *rows]) + "\n")
    requests = read_requests(folder / "requests.csv")
    assert [request.source for request in requests] == ["", "a.npz | flip", "library: one | move 2 0"]
    library = write_library(folder.parent / "lib", [Entry("one", MASKS)])
    masks, doubts = prepare(requests, PACK, folder, library)
    assert np.array_equal(masks["plain"].masks, MASKS.masks)
    assert np.array_equal(masks["turned"].masks, MASKS.masks[:, :, ::-1])
    assert np.array_equal(masks["lent"].masks[:, :, 2:], MASKS.masks[:, :, :-2])
    assert not doubts
    with pytest.raises(InputError, match="has not been made yet"):
        load_masks(requests[1], PACK)
    with pytest.raises(InputError, match="request lent: .*there is no library"):
        prepare(requests, PACK, folder)


def test_sources_stay_inside_their_folder(folder: Path) -> None:
    MASKS.save(folder.parent / "outside.npz")
    with pytest.raises(InputError, match="outside"):
        resolve("../outside.npz | flip", PACK, folder)
    with pytest.raises(InputError, match="no edit 'melt'"):
        resolve("a.npz | melt", PACK, folder)
