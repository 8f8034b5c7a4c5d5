"""Requests that name a file, a library's entry or words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvmodel.authoring.library import LibraryEntry, write_library
from mvmodel.authoring.mask_sources import MaskSourceLoader
from mvmodel.errors import InputError
from mvmodel.generation.request_masks import hash_mask_source, prepare_requests
from mvmodel.generation.request_table import read_requests
from mvmodel.generation.requests import load_masks
from mvmodel.masks import MaskSequence
from mvmodel.masks.files import write_masks
from mvmodel.masks.fit import fit_masks
from mvmodel.picture_size import PictureSize
from mvmodel.world.render import HELD_OUT, random_clip

MASKS = MaskSequence(random_clip((HELD_OUT, 8), frames=6, side=64, motion="glide", pan=0.0).masks)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "table").mkdir()
    MASKS.save(tmp_path / "table" / "a.npz")
    return tmp_path / "table"


def test_a_table_with_all_kinds_is_read_and_prepared(folder: Path) -> None:
    rows = ["glide,a,a.npz,1,plain", "glide,b,a.npz | flip,2,turned", "glide,c,library: one | move 2 0,3,lent"]
    (folder / "requests.csv").write_text("\n".join(["motion,prompt,masks,seed,name", *rows]) + "\n")
    requests = read_requests(folder / "requests.csv")
    assert [request.source for request in requests] == ["", "a.npz | flip", "library: one | move 2 0"]
    library = write_library(folder.parent / "lib", [LibraryEntry("one", MASKS)])
    specs, assumptions = prepare_requests(requests, MaskSourceLoader(folder, (64, 64), 6, 8.0, library=library))
    masks = {spec.name: spec.masks for spec in specs}
    assert np.array_equal(masks["plain"].masks, MASKS.masks)
    assert np.array_equal(masks["turned"].masks, MASKS.masks[:, :, ::-1])
    assert np.array_equal(masks["lent"].masks[:, :, 2:], MASKS.masks[:, :, :-2])
    assert not assumptions
    with pytest.raises(InputError, match="has not been made yet"):
        load_masks(requests[1], backend=None)  # refused before the backend is asked
    with pytest.raises(InputError, match="request lent: .*there is no library"):
        prepare_requests(requests, MaskSourceLoader(folder, (64, 64), 6, 8.0))


def test_masks_of_other_kinds_are_read_and_brought_to_size(folder: Path) -> None:
    write_masks(folder / "a.gif", MASKS)
    write_masks(folder / "pictures", MASKS)
    (folder / "requests.csv").write_text("motion,prompt,masks,name\nglide,a,a.gif,moving\nglide,b,pictures,still\n")
    requests = read_requests(folder / "requests.csv")
    specs, _ = prepare_requests(requests, MaskSourceLoader(folder, (64, 64), 6, 8.0))
    masks = {spec.name: spec.masks for spec in specs}
    for name in ("moving", "still"):
        assert np.array_equal(masks[name].masks, MASKS.masks)
    smaller, _ = prepare_requests(requests, MaskSourceLoader(folder, (32, 32), 6, 8.0))
    assert smaller[0].name == "moving" and smaller[0].masks.masks.shape == (6, 32, 32)


def test_plain_masks_of_another_shape_are_fitted(folder: Path) -> None:
    (folder / "requests.csv").write_text("motion,prompt,masks,name\nglide,a,a.npz,plain\n")
    requests = read_requests(folder / "requests.csv")
    specs, _ = prepare_requests(requests, MaskSourceLoader(folder, (64, 96), 6, 8.0))
    assert np.array_equal(specs[0].masks.masks, fit_masks(MASKS, PictureSize(96, 64)).masks)
    padded, _ = prepare_requests(requests, MaskSourceLoader(folder, (64, 96), 6, 8.0, fit="pad"))
    assert np.array_equal(padded[0].masks.masks[:, :, 16:80], MASKS.masks)


def test_what_decides_masks_are_words_and_the_contents_of_all_files(folder: Path) -> None:
    MASKS.save(folder / "b.npz")
    rows = ["glide,a,a.npz | combine b.npz,edited", "glide,b,a.npz,plain", "glide,c,words: a dog runs,said"]
    (folder / "requests.csv").write_text("\n".join(["motion,prompt,masks,name", *rows]) + "\n")
    edited, unedited, from_words = read_requests(folder / "requests.csv")
    before = hash_mask_source(edited, folder)
    assert before[0] == "a.npz | combine b.npz" and len(before) == 3
    assert hash_mask_source(unedited, folder) == before[1:2] and hash_mask_source(from_words, folder) == [
        "words: a dog runs"
    ]
    MaskSequence(MASKS.masks[:, ::-1].copy()).save(folder / "b.npz")
    after = hash_mask_source(edited, folder)
    assert after[:2] == before[:2] and after[2] != before[2], "another file of the same name is another recipe"
    (folder / "b.npz").unlink()
    with pytest.raises(InputError, match=r"request edited: .*b\.npz does not exist"):
        hash_mask_source(edited, folder)
