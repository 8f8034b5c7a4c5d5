"""One reader for all videos, exact frames in an .npz, and evenly spaced frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.video.contact_sheet import contact_sheet
from mvmodel.video.encode import write_png_folder
from mvmodel.video.frames import read_frames, write_frames
from mvmodel.video.sampling import evenly_spaced_indices


def test_frames_of_a_folder_and_of_an_npz_are_exact(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)
    assert np.array_equal(read_frames(write_frames(tmp_path / "video.npz", frames)), frames)
    assert np.array_equal(read_frames(write_png_folder(tmp_path / "video", frames)), frames)
    np.savez(tmp_path / "other.npz", masks=frames)
    with pytest.raises(InputError, match=r"other\.npz holds no video"):
        read_frames(tmp_path / "other.npz")


def test_evenly_spaced_indices() -> None:
    assert evenly_spaced_indices(3, 9).tolist() == [0, 4, 8]
    assert evenly_spaced_indices(8, 3).tolist() == [0, 1, 2]
    assert evenly_spaced_indices(5, 3, repeat=True).tolist() == [0, 0, 1, 2, 2]
    for total in range(1, 40):
        for count in range(1, 40):
            assert len(np.unique(evenly_spaced_indices(count, total))) == min(count, total)


def test_a_gap_of_a_contact_sheet_is_white() -> None:
    sheet = np.asarray(contact_sheet(np.zeros((3, 4, 6, 3), np.uint8), columns=5, gap=2))
    assert sheet.shape == (4, 3 * 6 + 2 * 2, 3)
    assert (sheet[:, 6:8] == 255).all() and (sheet[:, :6] == 0).all()
