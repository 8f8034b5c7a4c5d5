"""The benchmark of picture shapes: its clips, its table."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import shapes
from mvmodel.picture_size import PictureSize


@pytest.mark.parametrize("size", [PictureSize(96, 64), PictureSize(64, 96)], ids=str)
def test_clips_fill_the_picture_and_stay_in_it(size: PictureSize) -> None:
    paths = []
    for number in range(len(shapes.MOTIONS)):
        clip = shapes.render_clip(number, size, frames=4)
        assert clip.frames.shape == (4, *size.shape, 3) and clip.masks.shape == (4, *size.shape)
        assert clip.masks.any(axis=(1, 2)).all(), clip.motion
        columns, rows = np.nonzero(clip.masks.any(axis=(0, 1)))[0], np.nonzero(clip.masks.any(axis=(0, 2)))[0]
        paths.append((np.ptp(columns) / size.width, np.ptp(rows) / size.height))
        assert 0.2 * 64**2 / 4 < clip.masks.sum(axis=(1, 2)).max() < 0.6 * 64**2, "as large as in a square of 64"
    assert max(width for width, _ in paths) > 0.7 and max(height for _, height in paths) > 0.7


def test_the_table_has_a_ceiling_beside_each_size() -> None:
    cell = {
        name: dict.fromkeys(shapes.COLUMNS, value) for name, value in ((shapes.TRUE_CLIPS, 0.9), ("generated", 0.6))
    }
    lines = shapes.format_table({"96x64/0": cell, "96x64/1": cell}, ["96x64", "64x96"], 2).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["96x64, true clips", "96x64, generated"]
    assert "0.600 (0.600–0.600)" in lines[3] and lines[3].split("|")[2].strip() == "2"
