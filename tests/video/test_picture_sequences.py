"""Order, numbers and gaps of pictures by their names."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mvmodel.video.containers import image_files
from mvmodel.video.picture_sequences import describe_gaps, picture_moments, select_sequence, sort_pictures

ORDERS = {
    "negative": [f"{number:05d}.png" for number in range(-8, 0)] + [f"{number:04d}.png" for number in range(8)],
    "negative after a prefix": ["shot_-2.png", "shot_-1.png", "shot_0.png", "shot_1.png"],
    "a minus that separates": ["clip-0001.png", "clip-0002.png", "clip-0010.png"],
    "seconds": [f"{round(number / 24, 3)}.png" for number in range(40)],
    "whole and half seconds": ["0.png", "0.5.png", "1.png", "1.5.png", "2.png"],
    "versions": [f"v1.{number}.png" for number in range(8, 12)],
    "prefix with a number": [f"take2_{number}.jpg" for number in range(12)],
    "tail": [f"{number}_left.png" for number in range(12)],
    "clock": ["00_01_05.png", "00_01_22.png", "00_02_01.png", "01_00_00.png"],
    "words": ["first.png", "second.png", "third.png"],
    "export": ["frame_1_png.rf.9a0.png", "frame_2_png.rf.1bc.png", "frame_10_png.rf.000.png"],
}


@pytest.mark.parametrize("names", ORDERS.values(), ids=list(ORDERS))
def test_pictures_are_in_frame_order(names: list[str]) -> None:
    shuffled = [Path(name) for name in names]
    random.Random(0).shuffle(shuffled)
    assert [path.name for path in sort_pictures(shuffled)] == names


def test_seconds_in_names_are_the_times_of_the_frames() -> None:
    moments = picture_moments([Path("1.0.png"), Path("1.04.png"), Path("1.2.png")])
    assert moments is not None
    assert [float(moment) for moment in moments] == pytest.approx([0, 0.04, 0.2])
    assert picture_moments([Path("1.png"), Path("2.png")]) is None


def test_gaps_are_said() -> None:
    names = [Path(f"{number}.png") for number in [0, 5, 10, 15, 30, 35, 40]]
    assert "(20, 25)" in describe_gaps(names)
    assert not describe_gaps(names[:4])


def test_a_sequence_path_stands_for_its_pictures(tmp_path: Path) -> None:
    for name in ["a_1.png", "a_2.png", "A_10.PNG", "b_1.png", "a_1.jpg", "a_1_mask.png", "50%d.png"]:
        (tmp_path / name).touch()
    assert [path.name for path in image_files(tmp_path / "a_%d.png")] == ["a_1.png", "a_2.png", "A_10.PNG"]
    assert [path.name for path in image_files(tmp_path / "a_%d_mask.png")] == ["a_1_mask.png"]
    assert not select_sequence(tmp_path / "c_%d.png", list(tmp_path.iterdir()))
