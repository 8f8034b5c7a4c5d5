"""Manifests from spreadsheets and other trainers, and the files that they name."""

from __future__ import annotations

import json
import logging
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.video.encode import write_mp4
from mvmodel.video.ingestion import check_clips
from mvmodel.video.manifest import parse_moment, resolve_inside
from mvmodel.video.manifest_tables import read_manifest
from mvmodel.video.sources import find_sources


def _read(folder: Path, name: str, text: str) -> list[tuple[str, ...]]:
    (folder / name).write_text(text, encoding="utf-8")
    entries = read_manifest(folder)
    assert entries is not None
    return [(entry.file, entry.caption, entry.motion, entry.start, entry.end) for entry in entries]


HORSE = ("a.mp4", "a horse, brown", "run", "", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("manifest.csv", 'file,caption,motion\na.mp4,"a horse, brown",run\n'),
        ("Manifest.CSV", "\ufeffFile;Prompt;Motion\r\na.mp4;a horse, brown;run\r\n;;\r\n"),
        ("manifest.tsv", "file\ttext\tlabel\na.mp4\ta horse, brown\trun\n"),
        ("metadata.csv", 'video,prompt,motion\na.mp4,"a horse, brown",run\n'),
        ("metadata.jsonl", '{"file_name": "a.mp4", "text": "a horse, brown", "motion": "run"}\n'),
        ("metadata.json", '[{"video": "a.mp4", "prompt": "a horse, brown", "motion": "run"}]'),
        ("videos.jsonl", '{"video_path": "a.mp4", "caption": "a horse, brown", "motion": "run"}\n'),
    ],
)
def test_every_kind_of_table(tmp_path: Path, name: str, text: str) -> None:
    assert _read(tmp_path, name, text) == [HORSE]


def test_moments_in_columns_that_say_what_they_count(tmp_path: Path) -> None:
    text = "file,start_frame,end_frame\na.mp4,4.0,16\n"
    assert _read(tmp_path, "manifest.csv", text)[0][3:] == ("4", "16")
    assert _read(tmp_path, "manifest.csv", "file,Start Time,End Time\na.mp4,2.0,1:02.5\n")[0][3:] == ("2.0s", "1:02.5")
    assert _read(tmp_path, "manifest.csv", "file;start;end\na.mp4;2,5s;30\n")[0][3:] == ("2,5s", "30")
    assert (parse_moment("2,5s", 8), parse_moment("30", 8), parse_moment("2.0 s", 8)) == (20, 30, 16)
    for text in ("2.0", "2,5", "16.00"):
        with pytest.raises(InputError, match="may be a frame or seconds"):
            parse_moment(text, 8)


def test_columns_and_files_that_are_not_used_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "b.mp4"}')
    with caplog.at_level(logging.WARNING):
        assert _read(tmp_path, "metadata.csv", "video,prompt,input_image\na.mp4,x,y.png\n")[0][:2] == ("a.mp4", "x")
    assert "'input_image'" in caplog.text and "metadata.jsonl is not read" in caplog.text
    caplog.clear()
    (tmp_path / "metadata.csv").write_text("name,weight\nx,1\n")
    entries = read_manifest(tmp_path)
    assert entries is not None and [entry.file for entry in entries] == ["b.mp4"]
    assert "metadata.csv is not read as a manifest" in caplog.text


def test_musubi_configurations(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "b.mp4").touch()
    (tmp_path / "lines.jsonl").write_text(json.dumps({"video_path": str(tmp_path / "a.mp4"), "caption": "x"}))
    (tmp_path / "training.toml").write_text("[optimizer]\nname = 'adam'\n")
    text = """
        [general]
        caption_extension = ".caption"
        [[datasets]]
        video_directory = "videos"
        target_frames = [1, 25]
        [[datasets]]
        video_jsonl_file = "lines.jsonl"
        [[datasets]]
        video_directory = "D:/elsewhere"
    """
    entries = _read(tmp_path, "dataset.toml", text)
    assert [entry[:2] for entry in entries] == [
        ("videos/b.mp4", ""), (str(tmp_path / "a.mp4"), "x"), ("D:/elsewhere", ""),
    ]  # fmt: skip
    sources, unknown = find_sources(tmp_path)
    assert {row["file"] for row in unknown} == {str(tmp_path / "a.mp4"), "D:/elsewhere"}
    assert "not inside the folder" in unknown[1]["reason"] and sources[0].entries[0].caption_suffix == ".caption"


def test_file_names_in_other_spellings(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "Café.MP4")
    (tmp_path / "Sub").mkdir()
    (tmp_path / "Sub" / name).touch()
    expected = tmp_path / "Sub" / name
    for spelling in ("Sub/Café.MP4", "sub\\café.mp4", "./SUB/CAFÉ.mp4", str(tmp_path / "Sub" / name)):
        assert resolve_inside(tmp_path, spelling) == expected
    (tmp_path / "a.mp4").touch()
    (tmp_path / "A.mp4").touch()
    assert resolve_inside(tmp_path, "A.mp4").name == "A.mp4"
    with pytest.raises(InputError, match=r"may be A\.mp4 or a\.mp4"):
        resolve_inside(tmp_path, "A.MP4")
    for outside in ("../b.mp4", "sub\\..\\..\\b.mp4", "/b.mp4", "C:\\b.mp4", "\\\\server\\b.mp4"):
        with pytest.raises(InputError, match="not inside the folder"):
            resolve_inside(tmp_path, outside)


def test_clips_of_a_table_from_a_windows_spreadsheet(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), np.uint8)
    (tmp_path / "clips").mkdir()
    write_mp4(tmp_path / "clips" / "Pferd.mp4", frames, 8)
    table = "Datei;File;Caption;Start\r\n1;clips\\pferd.MP4;ein Pferd, braun;2.0\r\n;;;\r\n2;clips\\pferd.MP4;da;\r\n"
    (tmp_path / "manifest.csv").write_bytes(table.encode("utf-16"))
    (row,) = check_clips(tmp_path)
    assert (row["status"], row["caption"], row["clips"]) == ("clip", "da", 1)
    assert "'2.0' may be a frame or seconds" in row["reason"]
