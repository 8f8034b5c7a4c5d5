"""Captions beside clips, as people save and name them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.video.captions import MAX_CAPTION_CHARACTERS, read_sidecar_caption
from mvmodel.video.encode import write_mp4
from mvmodel.video.ingestion import check_clips

CAPTION = "a brown horse gallops over a meadow"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "horse.mp4").touch()
    return tmp_path / "horse.mp4"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("name", ["horse.txt", "horse.TXT", "horse.Txt", "horse.mp4.txt", "HORSE.TXT"])
def test_names_and_encodings(clip: Path, name: str, encoding: str) -> None:
    clip.with_name(name).write_bytes(f" {CAPTION}\r\n".encode(encoding))
    caption = read_sidecar_caption(clip)
    assert (caption.text, caption.origin, caption.note) == (CAPTION, name, "")


def test_composed_and_decomposed_names(tmp_path: Path) -> None:
    clip = tmp_path / unicodedata.normalize("NFD", "café.mp4")
    clip.touch()
    (tmp_path / unicodedata.normalize("NFC", "café.txt")).write_text(CAPTION)
    assert read_sidecar_caption(clip).text == CAPTION


def test_another_clips_caption_is_not_taken(clip: Path) -> None:
    clip.with_name("Horse.mp4").touch()
    clip.with_name("Horse.txt").write_text(CAPTION)
    assert read_sidecar_caption(clip).text == ""
    assert read_sidecar_caption(clip.with_name("Horse.mp4")).text == CAPTION


def test_a_folder_of_frames(tmp_path: Path) -> None:
    (tmp_path / "run.1").mkdir()
    (tmp_path / "run.1.txt").write_text(CAPTION)
    assert read_sidecar_caption(tmp_path / "run.1").text == CAPTION


def test_a_sequence_of_pictures_among_others(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    (tmp_path / "shots.txt").write_text("of all")
    assert read_sidecar_caption(tmp_path / "shots" / "a_%d.png").text == "of all"
    (tmp_path / "shots" / "a.txt").write_text(CAPTION)
    assert read_sidecar_caption(tmp_path / "shots" / "a_%d.png").text == CAPTION


def test_a_long_caption_is_cut_and_that_is_said(clip: Path) -> None:
    clip.with_suffix(".txt").write_text(f"{CAPTION}. " * 400)
    caption = read_sidecar_caption(clip)
    assert caption.text.startswith(CAPTION) and len(caption.text) <= MAX_CAPTION_CHARACTERS
    assert f"cut after {len(caption.text)}" in caption.note
    clip.with_suffix(".txt").write_text("word " * 70)
    assert read_sidecar_caption(clip).note.startswith("the caption has 70 words; text models read only")


def test_an_old_encoding_is_refused_by_name(clip: Path) -> None:
    clip.with_suffix(".txt").write_bytes("a café horse".encode("cp1252"))
    with pytest.raises(InputError, match=r"horse\.txt is not UTF-8"):
        read_sidecar_caption(clip)


def test_the_listing_says_the_caption_and_where_it_is_from(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, 8, 32, 32, 3), np.uint8)
    write_mp4(tmp_path / "a.mp4", frames[0], 8)
    write_mp4(tmp_path / "b.mp4", frames[1], 8)
    (tmp_path / "a.mp4.txt").write_text(CAPTION, encoding="utf-16")
    (tmp_path / "b.txt").write_bytes("a café".encode("cp1252"))
    good, bad = check_clips(tmp_path)
    assert (good["status"], good["caption"], good["caption_from"]) == ("clip", CAPTION, "a.mp4.txt")
    assert bad["status"] == "quarantined" and "b.txt is not UTF-8" in bad["reason"]
