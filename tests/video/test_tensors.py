"""Frames as uint8 arrays."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.video.tensors import to_uint8


def test_values_are_clipped_and_rounded():
    assert to_uint8(np.array([-1.0, 0.0, 0.5, 1.0, np.inf])).tolist() == [0, 0, 128, 255, 255]


def test_values_that_are_no_numbers_are_refused_and_not_painted_black():
    with pytest.raises(InputError, match="no numbers: weights of the pack are damaged, or half precision overflowed"):
        to_uint8(np.array([[0.5, np.nan]]))
