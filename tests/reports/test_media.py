from __future__ import annotations

import re

import numpy as np

from mvmodel.reports import media


def test_an_outline_goes_around_its_mask():
    masks = np.zeros((2, 50, 100), bool)
    masks[0, 10:20, 40:60] = True
    square, empty = media.trace_outlines(masks)
    numbers = np.array(re.findall(r"\d+", square), float).reshape(-1, 2)
    assert empty == ""
    assert square.startswith("M")
    assert square.endswith("Z")
    assert abs(numbers.min(axis=0) - (400, 100)).max() <= 5
    assert abs(numbers.max(axis=0) - (600, 200)).max() <= 8


def test_small_videos_are_enlarged_by_a_whole_factor_and_large_ones_left_alone():
    assert media._enlarge(np.zeros((1, 128, 96, 3), np.uint8)).shape == (1, 384, 288, 3)
    large = np.zeros((1, 320, 512, 3), np.uint8)
    assert media._enlarge(large) is large
