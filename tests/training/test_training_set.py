"""Which clips of a motion are trained on and held out, and the folder that holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.training.training_set import read_training_set, split_clips, write_training_set

DISTANCES = {"a": 0.4, "b": 0.1, "c": 0.3, "d": 0.2, "e": 0.9}


def test_clips_in_the_middle_are_held_out_and_the_farthest_are_not_used() -> None:
    roles = split_clips("run", "edcba", set(), DISTANCES, min_clips=2, max_clips=4, held_out=1)
    assert list(roles.items()) == [("a", "train"), ("b", "held_out"), ("c", "train"), ("d", "train")]


def test_clips_are_held_out_only_if_enough_are_left_to_train_on() -> None:
    roles = split_clips("run", "abc", {"c"}, DISTANCES, min_clips=2, max_clips=8, held_out=1)
    assert roles == {"a": "train", "b": "train"}
    with pytest.raises(InputError, match=r"motion 'run' has 1 clips with sound masks of 3; 2 are needed"):
        split_clips("run", "abc", {"b", "c"}, DISTANCES, min_clips=2, max_clips=8, held_out=1)


def test_a_training_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = {name: rng.integers(0, 255, (3, 8, 8, 3), dtype=np.uint8) for name in "ab"}
    for name, pixels in frames.items():
        np.save(tmp_path / f"{name}.npy", pixels)
        MaskSequence(pixels[..., 0] > 100).save(tmp_path / f"{name}.npz")
    folder = tmp_path / "set"
    folder.mkdir()
    captions = {"a": "a dog", "b": ""}
    write_training_set(
        folder, "run", {"a": "train", "b": "held_out"}, captions, tmp_path, tmp_path, lambda f: f"{len(f)} frames"
    )
    (train,), (held_out,) = read_training_set(folder)
    assert (train.name, train.caption, held_out.caption) == ("a", "a dog", "3 frames")
    assert np.array_equal(held_out.frames, frames["b"]) and np.array_equal(train.masks, frames["a"][..., 0] > 100)
