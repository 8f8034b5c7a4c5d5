"""Edits as text do what the functions do, and every slip is named."""

from pathlib import Path

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence, limits
from mvmodel.masks import edit as e
from mvmodel.masks.combine import combine, replace_shape
from mvmodel.masks.edit_script import edits_help, run_edits
from tests.masks.conftest import blob

ONE = MaskSequence(np.stack([blob(np.random.default_rng(n)) for n in range(4)]))


def test_text_and_functions_agree(tmp_path: Path) -> None:
    expected = e.scale(e.flip(e.move(ONE, 3, -2)), 0.8, outside="keep")
    assert np.array_equal(run_edits(ONE, "move 3 -2 | flip | scale 0.8 outside=keep").masks, expected.masks)
    assert run_edits(ONE, "loop 2 there_and_back=yes").frames == 7
    assert run_edits(ONE, "retime frames=9 smooth=true").frames == 9
    assert run_edits(ONE, "resize 20 20").masks.shape[1:] == (20, 20)
    assert run_edits(ONE, "") is ONE
    ONE.save(tmp_path / "other.npz")
    assert np.array_equal(run_edits(ONE, "combine other.npz", tmp_path).per_instance, combine(ONE, ONE).per_instance)
    largest = ONE.masks[int(ONE.coverage().argmax())]
    given = run_edits(ONE, "replace-shape other.npz", tmp_path)
    assert np.array_equal(given.masks, replace_shape(ONE, largest).masks)
    assert {line.split()[0] for line in edits_help().splitlines()} >= {*e.EDITS, "combine", "resize"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("explode", "no edit 'explode'"),
        ("move 1 2 clip 4", "too many values"),
        ("move z=1", "takes no 'z'"),
        ("move one", "dx is a number"),
        ("loop 1.5", "whole number"),
        ("resize 20", "lacks width"),
        ("scale 2 outside=wrap", "clip or keep"),
        ("retime 3 smooth=maybe", "too many|yes or no|number"),
        ("move '1", "cannot be read"),
        ("combine gone.npz", "do not exist"),
    ],
)
def test_slips_are_named(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        run_edits(ONE, text)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ("retime 20000", "20000 frames are more than the limit of 10000"),
        ("retime speed=1e-300", "frames are more than the limit"),
        ("loop 100000000", "frames are more than the limit"),
        ("resize 100000 100000", "100000x100000 is more than the limit of 4096 pixels a side"),
        ("resize 4000 4000 | retime 100", "more than the limit of 1,073,741,824 pixels"),
    ],
)
def test_edits_have_limits_that_are_checked_before_memory_is_taken(edit: str, reason: str) -> None:
    masks = np.zeros((8, 64, 64), bool)
    masks[:, 20:30, 20:30] = True
    with pytest.raises(InputError, match=reason):
        run_edits(MaskSequence(masks), edit)


def test_duplicates_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_MASK_PIXELS", 1 << 18)
    masks = np.zeros((8, 64, 64), bool)
    masks[:, 20:30, 20:30] = True
    with pytest.raises(InputError, match="the edit duplicate: 16 objects in 8 frames"):
        run_edits(MaskSequence(masks), "|".join(["duplicate 1 0"] * 20))


@pytest.mark.parametrize("edit", ["combine other.npz", "replace-shape other.npz", "replace-motion other.npz"])
def test_edits_with_a_file_have_limits_too(edit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = np.zeros((8, 64, 64), bool)
    masks[:, 20:30, 20:30] = True
    MaskSequence(masks).save(tmp_path / "other.npz")
    assert run_edits(MaskSequence(masks), edit, tmp_path).frames == 8
    monkeypatch.setattr(limits, "MAX_MASK_PIXELS", masks.size - 1)
    with pytest.raises(InputError, match=rf"the edit {edit.split()[0]}: .* more than the limit"):
        run_edits(MaskSequence(masks), edit, tmp_path)
