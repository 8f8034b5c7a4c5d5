"""Masks of every n-th frame: those between are interpolated when that is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.coco import to_coco
from mvmodel.masks.files import read_masks, write_masks
from mvmodel.masks.geometry import mask_iou
from mvmodel.masks.key_frames import interpolate_every
from mvmodel.video.encode import write_png_folder

Y, X = np.mgrid[:48, :64]
BALLS = np.stack([[np.hypot(X - x - 2 * t, Y - y) < 8 for t in range(12)] for x, y in ((12, 12), (20, 34))])
SEQUENCE = MaskSequence.from_instances(BALLS, 12.0, ["ball", "bowl"])


def test_objects_are_interpolated_one_by_one() -> None:
    thinned = MaskSequence.from_instances(BALLS[:, ::3], 4.0, ["ball", "bowl"])
    sequence = interpolate_every(thinned, 3)
    assert (sequence.frames, sequence.fps, sequence.names) == (12, 12.0, ("ball", "bowl"))
    assert np.array_equal(sequence.per_instance[:, ::3], BALLS[:, ::3])
    assert mask_iou(sequence.per_instance[:, :10], BALLS[:, :10]) > 0.93
    assert (sequence.per_instance[:, 10:] == BALLS[:, 9:10]).all(), "the last mask is held"


def test_a_folder_without_a_rate_keeps_the_usual_one(tmp_path: Path) -> None:
    folder = write_png_folder(tmp_path / "a", SEQUENCE.masks[::2])
    assert read_masks(folder, every=2).fps == 8.0
    write_masks(tmp_path / "b", MaskSequence(SEQUENCE.masks[::2], 6.0))
    assert read_masks(tmp_path / "b", every=2).fps == 12.0


def test_numbers_in_the_names_have_to_agree(tmp_path: Path) -> None:
    folder = write_png_folder(tmp_path / "a", SEQUENCE.masks)
    for number in (1, 3, 5, 7, 9, 11):
        (folder / f"{number:05d}.png").unlink()
    assert read_masks(folder, every=2).frames == 12
    with pytest.raises(InputError, match="numbers differ by 2"):
        read_masks(folder, every=3)
    (folder / "00004.png").unlink()
    with pytest.raises(InputError, match="differ by 2 and 4"):
        read_masks(folder, every=2)


def test_key_frames_in_a_coco_file(tmp_path: Path) -> None:
    content = to_coco(SEQUENCE)
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] % 4 == 0]
    content["info"] = {}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="every 4th frame only; add --every 4"):
        read_masks(tmp_path / "a.json")
    with pytest.raises(InputError, match="every 4th frame, not on every 3rd"):
        read_masks(tmp_path / "a.json", every=3)
    sequence = read_masks(tmp_path / "a.json", every=4)
    assert sequence.frames == 12 and sequence.names == ("ball", "bowl")
    assert mask_iou(sequence.per_instance[:, :9], BALLS[:, :9]) > 0.93
