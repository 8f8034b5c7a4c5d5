"""Mask sources: a file, a library's entry or words, each with edits."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvmodel.authoring.mask_sources import MaskSourceLoader, parse_mask_source
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.world.render import HELD_OUT, random_clip

MASKS = MaskSequence(random_clip((HELD_OUT, 8), frames=6, side=64, motion="glide", pan=0.0).masks)


def test_sources_are_parsed() -> None:
    assert vars(parse_mask_source("a.npz")) == {"kind": "file", "value": "a.npz", "edits": ""}
    assert vars(parse_mask_source("Library: horse | flip | scale 2")) == {
        "kind": "library",
        "value": "horse",
        "edits": "flip | scale 2",
    }
    assert parse_mask_source("words: a dog runs").value == "a dog runs"
    for text in ("", "words:", " | flip"):
        with pytest.raises(InputError, match="name nothing"):
            parse_mask_source(text)


def test_sources_stay_inside_their_folder(tmp_path: Path) -> None:
    MASKS.save(tmp_path / "outside.npz")
    MASKS.save(tmp_path / "table" / "a.npz")
    loader = MaskSourceLoader(tmp_path / "table", (64, 64), 6, 8.0)
    with pytest.raises(InputError, match="outside"):
        loader.load("../outside.npz | flip")
    with pytest.raises(InputError, match="no edit 'melt'"):
        loader.load("a.npz | melt")
