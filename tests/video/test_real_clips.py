"""Footage that nobody here made, where it lies beside the repository: a long recording cut into its six walks."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvmodel.video.clips import Clip, find_clips
from mvmodel.video.config import IngestConfig
from mvmodel.video.sources import find_sources

REAL = Path(__file__).resolve().parents[3] / "shared" / "clips" / "real_clips"
WALKS = ((61, 198), (228, 446), (503, 697), (746, 867), (922, 1197), (1236, 1360))
"""Frames in which somebody walks in, stops at the table and walks out, by a person's notes."""


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no real clips beside the repository")
def test_a_long_recording_gives_its_six_walks() -> None:
    (source,), _ = find_sources(REAL / "intel_one-by-one-person-detection.mp4")
    ranges = [(clip.start, clip.end) for clip in find_clips(source, IngestConfig()) if isinstance(clip, Clip)]
    overlaps = []
    for first, last in WALKS:
        shared = [(max(0, min(last, b) - max(first, a)), max(last, b) - min(first, a)) for a, b in ranges]
        overlaps.append(max(both / either for both, either in shared))
    print(f"stretches {ranges}, overlap with the walks {[round(value, 2) for value in overlaps]}")
    assert len(ranges) == 6
    assert min(overlaps) >= 0.7
