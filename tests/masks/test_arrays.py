"""Masks from NumPy files of other programs: plain arrays, stacks of objects, channels, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.arrays import read_confidence
from mvmodel.masks.files import read_masks, write_masks

FRAMES, HEIGHT, WIDTH = 5, 16, 24
MASKS = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
for _number in range(FRAMES):
    MASKS[_number, 4:9, 2 + 3 * _number : 8 + 3 * _number] = True
OTHER = np.zeros_like(MASKS)
OTHER[:, 11:15, 10:16] = True
STACK = np.stack([MASKS, OTHER])
"""Two objects, (objects, frames, height, width)."""


@pytest.fixture(params=["npy", "npz"])
def save(request: pytest.FixtureRequest, tmp_path: Path):
    def save_array(array: np.ndarray) -> Path:
        path = tmp_path / f"clip.masks.{request.param}"
        np.savez(path, array) if request.param == "npz" else np.save(path, array)
        return path

    return save_array


@pytest.mark.parametrize(
    "array",
    [
        MASKS,
        MASKS.astype(np.uint8) * 255,
        MASKS.astype(np.float32),
        MASKS[:, None],
        MASKS[None],
        MASKS[..., None],
        np.repeat(MASKS[..., None].astype(np.uint8) * 255, 3, axis=3),
    ],
    ids=["bool", "grey", "float", "channel first", "one object", "channel last", "rgb"],
)
def test_one_object_in_every_layout(save, array: np.ndarray) -> None:
    sequence = read_masks(save(array))
    assert np.array_equal(sequence.masks, MASKS) and len(sequence.per_instance) == 1


def test_a_stack_of_objects_keeps_them_apart(save) -> None:
    sequence = read_masks(save(STACK))
    assert np.array_equal(sequence.per_instance, STACK) and np.array_equal(sequence.masks, MASKS | OTHER)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 4), bool), r"give numbers or bool \(frames, height, width\), or \(objects"),
        (np.swapaxes(STACK, 0, 1), r"looks like \(frames, objects, height, width\).*swapaxes"),
        (np.where(MASKS, 7.5, -9.25), "as logits do"),
        (np.array([{"a": 1}], dtype=object), "no readable .np"),
    ],
    ids=["one picture", "frames before objects", "logits", "pickled"],
)
def test_other_arrays_are_refused_by_name(save, array: np.ndarray, reason: str) -> None:
    path = save(array)
    with pytest.raises(InputError, match=rf"{path.name}.*{reason}"):
        read_masks(path)


def test_a_huge_array_is_refused_by_its_header(tmp_path: Path) -> None:
    with open(tmp_path / "huge.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10_000, 4096, 4096)}
        )
    with pytest.raises(InputError, match=r"huge\.npy .*more than the limit of 3\.0 GiB"):
        read_masks(tmp_path / "huge.npy")


def test_a_segmenters_confidence_is_stored_and_belongs_to_its_masks_only(tmp_path: Path) -> None:
    scores = [0.9, 0.8, 0.7, 0.6, 0.5]
    write_masks(tmp_path / "extracted.npz", MaskSequence(MASKS), scores)
    assert read_confidence(tmp_path / "extracted.npz", FRAMES) == pytest.approx(scores)
    assert read_confidence(tmp_path / "extracted.npz", FRAMES + 1) is None
    write_masks(tmp_path / "edited.npz", read_masks(tmp_path / "extracted.npz"))
    assert read_confidence(tmp_path / "edited.npz", FRAMES) is None
