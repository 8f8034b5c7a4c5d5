"""Masks that go on: nothing before changes, straight ways stay straight, and every slip is named."""

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.edit_script import run_edits
from mvmodel.masks.extend import extend
from mvmodel.masks.geometry import centroids


def square_at(*places: tuple[int, int]) -> np.ndarray:
    """Squares of 6 pixels, bool (frames, 40, 80)."""
    masks = np.zeros((len(places), 40, 80), bool)
    for mask, (x, y) in zip(masks, places, strict=True):
        mask[y : y + 6, x : x + 6] = True
    return masks


def test_a_straight_way_goes_on_at_its_speed():
    sequence = MaskSequence(square_at(*((4 + 3 * n, 10) for n in range(8))), 8.0, camera=(0.0, 0.7))
    longer = run_edits(sequence, "extend 7")
    assert np.array_equal(longer.masks[:8], sequence.masks)
    assert np.allclose(centroids(longer.masks)[:, 0], 6.5 + 3 * np.arange(15), atol=0.51)
    assert longer.masks.sum(axis=(1, 2)).tolist() == [36] * 15 and longer.camera == pytest.approx((0.0, 1.4))
    still = extend(sequence, 5, speed=0).masks
    assert all(np.array_equal(mask, sequence.masks[-1]) for mask in still[8:])


def test_a_curve_becomes_straight_and_does_not_shake():
    arc = MaskSequence(square_at(*((4 + 3 * n, 26 - n * (16 - n) // 3) for n in range(16))))
    longer = extend(arc, 6)
    steps = np.diff(centroids(longer.masks)[15:], axis=0)
    assert (steps[:, 0] > 0).all() and (np.abs(steps - steps.mean(axis=0)) <= 1.01).all()


def test_steps_of_a_gait_go_on_and_what_left_stays_out():
    hops = [(4 + 3 * n, 10 + 4 * (n % 2)) for n in range(12)]
    heights = centroids(extend(MaskSequence(square_at(*hops)), 4).masks)[-5:, 1]
    assert ((np.abs(np.diff(heights)) >= 3) & (np.abs(np.diff(heights)) <= 5)).all()
    gone = square_at((4, 4), (8, 4), (12, 4))
    gone[-1] = False
    pair = MaskSequence.from_instances(np.stack([gone, square_at((4, 20), (8, 20), (12, 20))]), 8.0, ("a", "b"))
    longer = extend(pair, 2)
    assert not longer.per_instance[0, 2:].any() and longer.per_instance[1, 3:].any() and longer.names == ("a", "b")


@pytest.mark.parametrize(
    ("edit", "reason"), [("extend 0", "at least 1"), ("extend 2 speed=-1", "speed"), ("extend 99999", "limit")]
)
def test_slips_are_named(edit, reason):
    with pytest.raises(InputError, match=reason):
        run_edits(MaskSequence(square_at((4, 4), (8, 4))), edit)
