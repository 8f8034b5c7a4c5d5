"""J and F: their ends, their symmetry, and what a shift of known size costs."""

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.segmentation.davis_metrics import contour_accuracy, region_similarity

SQUARE = np.zeros((2, 100, 160), bool)
SQUARE[:, 30:70, 40:90] = True


def test_the_same_masks_are_perfect_and_nothing_is_nothing() -> None:
    for figure in (region_similarity, contour_accuracy):
        assert figure(SQUARE, SQUARE) == 1.0
        assert figure(np.zeros_like(SQUARE), SQUARE) == 0.0
        assert figure(np.zeros_like(SQUARE), np.zeros_like(SQUARE)) == 1.0
        moved = np.roll(SQUARE, 9, axis=2)
        assert figure(moved, SQUARE) == pytest.approx(figure(SQUARE, moved))


def test_a_shift_costs_what_it_must() -> None:
    assert region_similarity(np.roll(SQUARE, 5, axis=2), SQUARE) == pytest.approx(45 / 55)
    # The tolerance at this size is 2 pixels: a shift within it leaves the contour whole, one beyond it does not.
    assert contour_accuracy(np.roll(SQUARE, 2, axis=2), SQUARE) == 1.0
    assert contour_accuracy(np.roll(SQUARE, 5, axis=2), SQUARE) < 0.75


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="of one shape"):
        region_similarity(SQUARE, SQUARE[:1])
