"""Masks pair with frames by their numbers, or are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks.pairing import pair_masks, read_picture_numbers


def _touch(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def pair(path: Path, masks: int, source: Path, frames: int, sampled: np.ndarray) -> np.ndarray:
    return pair_masks(path, masks, read_picture_numbers(path, masks), source, frames, sampled)


def _numbered(first: int, last: int, prefix: str = "") -> list[str]:
    return [f"{prefix}{number:05d}.png" for number in range(first, last + 1)]


def test_masks_pair_by_number_and_extra_ones_are_harmless(tmp_path: Path) -> None:
    frames = _touch(tmp_path / "frames", _numbered(3, 12, "frame_"))
    masks = _touch(tmp_path / "masks", _numbered(1, 20))
    sampled = np.array([0, 4, 9])
    assert pair(masks, 20, frames, 10, sampled).tolist() == [2, 6, 11]


def test_a_missing_number_is_refused_by_name(tmp_path: Path) -> None:
    frames = _touch(tmp_path / "frames", _numbered(0, 15))
    masks = _touch(tmp_path / "masks", [name for name in _numbered(0, 16) if name != "00003.png"])
    with pytest.raises(InputError, match="number of frame 3;"):
        pair(masks, 16, frames, 16, np.arange(12))
    assert pair(masks, 16, frames, 16, np.arange(4, 12)).tolist() == list(range(3, 11))


def test_a_number_that_is_missing_for_a_video_is_refused(tmp_path: Path) -> None:
    masks = _touch(tmp_path / "clip.masks", [name for name in _numbered(0, 16) if name != "00003.png"])
    with pytest.raises(InputError, match="3 missing"):
        pair(masks, 16, tmp_path / "clip.mp4", 16, np.arange(12))


@pytest.mark.parametrize(
    ("masks", "frames", "said"), [(12, 24, "every 2 frames"), (15, 16, "15 masks"), (17, 16, "17")]
)
def test_another_count_than_the_video_has_is_refused(tmp_path: Path, masks: int, frames: int, said: str) -> None:
    folder = _touch(tmp_path / "clip.masks", _numbered(1, masks))
    with pytest.raises(InputError, match=said):
        pair(folder, masks, tmp_path / "clip.mp4", frames, np.arange(12))


def test_masks_of_every_second_frame_serve_only_those_frames(tmp_path: Path) -> None:
    frames = _touch(tmp_path / "frames", _numbered(0, 15))
    masks = _touch(tmp_path / "masks", _numbered(0, 15)[::2])
    assert pair(masks, 8, frames, 16, np.array([0, 2, 4])).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match='every 2 frames.*masks edit masks "" --every 2'):
        pair(masks, 8, frames, 16, np.array([0, 1, 2]))


def test_numbers_that_share_nothing_pair_by_place_and_shifted_ones_are_refused(tmp_path: Path) -> None:
    frames = _touch(tmp_path / "frames", _numbered(1001, 1016))
    masks = _touch(tmp_path / "masks", _numbered(0, 15))
    assert pair(masks, 16, frames, 16, np.arange(16)).tolist() == list(range(16))
    shifted = _touch(tmp_path / "shifted", _numbered(1002, 1017))
    with pytest.raises(InputError, match="frame 1001"):
        pair(shifted, 16, frames, 16, np.arange(16))


def test_another_even_step_than_the_frames_have_is_no_gap(tmp_path: Path) -> None:
    masks = _touch(tmp_path / "masks", _numbered(0, 30)[::5])
    assert pair(masks, 7, tmp_path / "clip.mp4", 7, np.arange(7)).tolist() == list(range(7))
