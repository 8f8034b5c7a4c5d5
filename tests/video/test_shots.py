"""Cutting: a fixed camera with visitors, hard cuts, the liveliest window."""

import numpy as np

from mvmodel.video.sampling import nearest_frame_indices
from mvmodel.video.shots import (
    CutConfig,
    Thumbnails,
    detect_shots,
    estimate_background,
    find_active_ranges,
    find_liveliest_window,
)

CONFIG = CutConfig()


def _visits(spans: list[tuple[int, int]], total: int, seed: int = 0) -> np.ndarray:
    """A noisy still room; in each span someone of another colour comes in, stands in the middle, and leaves."""
    rng = np.random.default_rng(seed)
    room = rng.integers(60, 200, (54, 96))
    thumbs = np.repeat(room[None], total, axis=0) + rng.integers(-4, 5, (total, 54, 96))
    for number, (first, last) in enumerate(spans):
        for at in range(first, last):
            x = min(40, 4 * (at - first), 4 * (last - 1 - at))
            thumbs[at, 15:45, x : x + 10] = 20 + 55 * number
    return np.clip(thumbs, 0, 255).astype(np.uint8)


def test_visits_are_found_even_when_someone_is_there_most_of_the_time() -> None:
    spans = [(30, 100), (120, 190), (212, 280), (300, 372)]
    thumbs = _visits(spans, 400)
    thumbnails = Thumbnails(np.arange(400), thumbs, 10.0)
    ranges = find_active_ranges(thumbnails, 400, CONFIG)
    assert len(ranges) == len(spans)
    for (a, b), (first, last) in zip(ranges, spans, strict=True):
        assert abs(a - first) <= 4
        assert abs(b - last) <= 4


def test_background_is_the_empty_room() -> None:
    thumbs = _visits([(0, 60), (62, 120)], 122)
    empty = _visits([], 122)
    assert np.abs(estimate_background(thumbs) - empty.mean(axis=0)).mean() < 6


def test_a_shot_that_never_rests_stays_whole() -> None:
    rng = np.random.default_rng(1)
    wide = rng.integers(0, 255, (54, 96 + 200)).astype(np.uint8)
    moving = np.stack([wide[:, index : index + 96] for index in range(200)])
    assert find_active_ranges(Thumbnails(np.arange(200), moving, 10.0), 200, CONFIG) == [(0, 200)]


def test_long_stretches_are_divided() -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, (200, 20, 30)).astype(np.uint8)
    parts = find_active_ranges(Thumbnails(np.arange(200), noise, 10.0), 200, CutConfig(max_seconds=8))
    assert parts == [(0, 67), (67, 133), (133, 200)]


def test_hard_cuts() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 120, (2, 54, 96)) + np.array([0, 130])[:, None, None]
    thumbs = np.concatenate([np.repeat(a[None], 20, 0), np.repeat(b[None], 30, 0)]).astype(np.uint8)
    assert detect_shots(Thumbnails(np.arange(50), thumbs, 10.0), 50, CONFIG) == [(0, 20), (20, 50)]


def test_a_fast_pan_is_no_cut() -> None:
    rng = np.random.default_rng(3)
    wide = rng.integers(0, 255, (54, 1200)).astype(np.uint8)
    thumbs = np.stack([wide[:, 20 * index : 20 * index + 96] for index in range(50)])
    assert detect_shots(Thumbnails(np.arange(50), thumbs, 10.0), 50, CONFIG) == [(0, 50)]


def test_liveliest_window() -> None:
    thumbs = np.zeros((40, 8, 8), np.uint8)
    thumbs[22:30:2] = 200
    start = find_liveliest_window(Thumbnails(np.arange(0, 80, 2), thumbs, 10.0), 24, 80)
    assert start <= 44
    assert start + 24 >= 60
    assert find_liveliest_window(Thumbnails(np.arange(10), thumbs[:10], 10.0), 30, 10) == 0


def test_sample_times_takes_the_nearest_frame_of_uneven_ones() -> None:
    times = np.array([0, 0.1, 0.2, 0.35, 0.5, 0.9, 1.0])
    assert nearest_frame_indices(times, 0, 7, 0.0, 5, 0.25).tolist() == [0, 2, 4, 5, 6]
    assert nearest_frame_indices(times, 2, 5, 0.2, 4, 0.15).tolist() == [2, 3, 4, 4]
    assert nearest_frame_indices(times, 6, 7, 1.0, 3, 0.1).tolist() == [6, 6, 6]
