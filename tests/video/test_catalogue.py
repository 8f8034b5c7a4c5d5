"""Ingestion: what becomes a clip, what ends in the quarantine, and that nothing stops the others."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mvmodel.errors import InputError
from mvmodel.video.catalogue import CATALOGUE_COLUMNS, Catalogue
from mvmodel.video.config import IngestConfig
from mvmodel.video.contact_sheet import contact_sheet
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.ingestion import check_clips, ingest
from mvmodel.world.render import TRAIN, random_clip

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"
SMALL = IngestConfig(frames=6, size=48)


def _clip(number: int, frames: int = 10) -> np.ndarray:
    return random_clip((TRAIN, number), frames=frames, side=64, motion="gallop", pan=0.0).frames


def test_the_sample_clips(tmp_path: Path) -> None:
    catalogue = ingest(SAMPLES, tmp_path / "c")
    table, quarantine = catalogue.table, catalogue.quarantine.set_index("file")["reason"]
    assert len(table) == 21
    assert list(table.columns) == list(CATALOGUE_COLUMNS)
    assert table["clip"].is_unique
    assert table["content"].is_unique
    assert (table["caption"] != "").sum() == 12
    assert table["motion"].value_counts().to_dict() == {"gallop": 5, "bounce": 5, "zigzag": 5, "": 6}
    assert not table["masks"].any(), "the true masks are there to measure against"
    assert set(quarantine.index) == {"empty.mp4", "notes.mp4", "one_frame.mp4", "truncated.mp4"}
    assert "zero bytes" in quarantine["empty.mp4"]
    assert "only one frame" in quarantine["one_frame.mp4"]
    assert "cut off" in quarantine["truncated.mp4"]
    for clip in catalogue.clips:
        frames = catalogue.frames(clip)
        assert frames.shape == (12, 128, 128, 3)
        assert frames.dtype == np.uint8
        assert frames.std() > 5
    second_catalogue = ingest(SAMPLES, tmp_path / "d")
    assert second_catalogue.content_hash() == catalogue.content_hash()


def test_check_says_what_ingestion_does(tmp_path: Path) -> None:
    rows = {row["file"]: row for row in check_clips(SAMPLES)}
    assert sum(row["status"] == "clip" for row in rows.values()) == 21
    assert rows["horse-meadow.mp4"] == {
        "file": "horse-meadow.mp4", "status": "clip", "reason": "", "frames": 16, "height": 128, "width": 128,
        "fps": 8.0, "clips": 1, "caption": "a horse gallops over a meadow", "caption_from": "manifest.csv",
        "caption_note": "", "motion": "gallop", "masks": None,
        "masks_reason": "there are none for this clip", "note": "", "size": "128x128",
        "kept": [[0, 16]], "manifest_rows": 1,
        "crop": {"left": 0, "top": 0, "width": 128, "height": 128, "follows": "whole"},
    }  # fmt: skip
    assert rows["one_frame.mp4"]["frames"] == 1
    assert rows["empty.mp4"]["height"] is None
    (single,) = check_clips(SAMPLES / "notes.mp4")
    assert single["status"] == "quarantined"
    with pytest.raises(InputError, match="does not exist"):
        list(check_clips(tmp_path / "nowhere"))


def test_manifest_cuts_captions_and_bad_lines(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_mp4(folder / "long.mp4", _clip(1, 40), 8)
    write_mp4(folder / "sub" / "other.mp4", _clip(2), 8)
    (folder / "sub" / "other.txt").write_text("a dog\n  runs ")
    (folder / "manifest.csv").write_text(
        "file,caption,motion,start,end\n"
        'long.mp4,"a horse, brown",gallop,0,20\n'
        "long.mp4,again,gallop,2.5s,0:05\n"
        "long.mp4,,gallop,soon,\n"
        "long.mp4,,gallop,38,\n"
        "gone.mp4,,,,\n"
        "../secret.mp4,,,,\n"
    )
    catalogue = ingest(folder, tmp_path / "out", SMALL)
    table = catalogue.table.set_index("clip")
    assert list(table.index) == ["long-01", "long-02", "other"]
    assert table.loc["long-01", ["caption", "motion", "start", "end"]].tolist() == ["a horse, brown", "gallop", 0, 20]
    assert table.loc["long-02", ["start", "end"]].tolist() == [20, 40]
    assert table.loc["other", "caption"] == "a dog runs"
    reasons = catalogue.quarantine.set_index("file")["reason"].to_dict()
    assert "no such file" in reasons["gone.mp4"]
    assert "not inside the folder" in reasons["../secret.mp4"]
    reasons_of_parts = " ".join(catalogue.quarantine.loc[catalogue.quarantine["file"] == "long.mp4", "reason"])
    assert "'soon' is neither a frame number" in reasons_of_parts
    assert "too few" in reasons_of_parts


@pytest.mark.parametrize("text", ["name,caption\na.mp4,x\n", "file,caption\na.mp4,x,y,z\nb.mp4,1,2,3,4,5\n"])
def test_a_manifest_that_is_no_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.csv"):
        ingest(tmp_path, tmp_path / "out")


def test_duplicates_are_named_and_not_stored_twice(tmp_path: Path) -> None:
    data = write_mp4(tmp_path / "in" / "a.mp4", _clip(1), 8).read_bytes()
    (tmp_path / "in" / "b.mp4").write_bytes(data)
    catalogue = ingest(tmp_path / "in", tmp_path / "out", SMALL)
    assert catalogue.clips == ["a"]
    assert catalogue.quarantine.values.tolist() == [["b.mp4", "a duplicate: the same pictures as a.mp4"]]


def test_names_stay_unique_and_are_slugs(tmp_path: Path) -> None:
    for number, name in enumerate(("A b.mp4", "a-b.mp4", "x/a b.mov", "ünï.mp4"), 1):
        write_mp4(tmp_path / "in" / name, _clip(number), 8)
    clips = ingest(tmp_path / "in", tmp_path / "out", SMALL).clips
    assert sorted(clips) == ["a-b", "a-b-2", "a-b-3", "n"]


def test_folders_of_frames_with_the_users_masks(tmp_path: Path) -> None:
    clip = random_clip((TRAIN, 5), frames=30, side=64, motion="bounce", pan=0.0)
    write_png_folder(tmp_path / "in" / "ball" / "frames", clip.frames)
    write_png_folder(tmp_path / "in" / "ball" / "masks", clip.masks)
    catalogue = ingest(tmp_path / "in", tmp_path / "out", SMALL)
    row = catalogue.row("ball")
    assert (row["masks"], row["source_fps"], row["frames"]) == ("ball/masks", 24.0, 6)
    steps = np.diff(row["sampled"])
    assert (steps == 3).all(), "24 frames a second sampled at 8 is every third frame"


def test_a_short_clip_is_spread_and_a_long_one_keeps_its_speed(tmp_path: Path) -> None:
    write_mp4(tmp_path / "in" / "short.mp4", _clip(1, 5), 30)
    write_mp4(tmp_path / "in" / "long.mp4", _clip(2, 30), 8)
    table = ingest(tmp_path / "in", tmp_path / "out", SMALL).table.set_index("clip")
    assert list(table.loc["short", "sampled"]) == [0, 1, 2, 2, 3, 4]
    assert np.diff(table.loc["long", "sampled"]).tolist() == [1] * 5
    spread = ingest(tmp_path / "in", tmp_path / "whole", SMALL.model_copy(update={"tempo": "whole"})).table
    assert list(spread.set_index("clip").loc["long", "sampled"]) == [0, 6, 12, 17, 23, 29]


def test_long_footage_is_cut_into_visits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    room = rng.integers(60, 200, (48, 64, 3))
    frames = np.repeat(room[None], 150, axis=0)
    for first, shade in ((20, 250), (70, 10), (115, 130)):
        for at in range(25):
            frames[first + at, 10:40, 2 * at : 2 * at + 12] = shade
    write_mp4(tmp_path / "in" / "room.mp4", frames.astype(np.uint8), 10)
    catalogue = ingest(tmp_path / "in", tmp_path / "out", SMALL)
    assert catalogue.clips == ["room-01", "room-02", "room-03"]
    starts = catalogue.table["start"].to_numpy()
    assert np.abs(starts - [20, 70, 115]).max() <= 3


def test_an_empty_folder_and_a_killed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    catalogue = ingest(tmp_path / "in", tmp_path / "out")
    assert catalogue.clips == []
    assert isinstance(catalogue.table, pd.DataFrame)
    write_mp4(tmp_path / "in" / "a.mp4", _clip(1), 8)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(tmp_path / "in", tmp_path / "out", SMALL, progress=stop)
    assert Catalogue.load(tmp_path / "out").clips == [], "the old catalogue is whole"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_contact_sheet() -> None:
    frames = _clip(1)
    assert contact_sheet(frames, columns=4).size == (4 * 64, 3 * 64)
    assert contact_sheet(frames, frames[..., 0] > 99, columns=5).size == (5 * 64, 4 * 64)


def test_folders_of_frames_have_the_manifests_rate(tmp_path: Path) -> None:
    frames = random_clip((TRAIN, 2), frames=12, side=64).frames
    for name in ("a", "b"):
        write_png_folder(tmp_path / "in" / name, frames if name == "a" else frames[::-1])
    write_mp4(tmp_path / "in" / "c.mp4", np.roll(frames, 5, axis=2), 8)
    (tmp_path / "in" / "manifest.csv").write_text("file,fps\na,12\nc.mp4,30\n")
    rows = {row["file"]: row for row in check_clips(tmp_path / "in", SMALL)}
    assert [rows[name]["fps"] for name in ("a", "b", "c.mp4")] == [12, 24, 8]
    assert rows["a"]["note"] == "" and "24 a second are assumed" in rows["b"]["note"]
    assert "the manifest says 30 frames a second, the clip 8" in rows["c.mp4"]["note"]
    (tmp_path / "in" / "manifest.csv").write_text("file,fps\na,fast\n")
    (row,) = (row for row in check_clips(tmp_path / "in", SMALL) if row["file"] == "a")
    assert row["status"] == "quarantined" and "'fast' is no frame rate" in row["reason"]
