"""What a leaderboard says of learned and enforced motions."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.motion.recognition import MotionRecognizer
from mvmodel.reports.entries import VideoEntry
from mvmodel.reports.recognition import describe_recognition, measure_recognition


def walk(x, y, frames=12) -> np.ndarray:
    masks = np.zeros((frames, 64, 64), bool)
    for index, t in enumerate(np.linspace(0, 1, frames)):
        row, column = int(y(t)), int(x(t))
        masks[index, row : row + 10, column : column + 10] = True
    return masks


def slide(start=5.0):
    return walk(lambda t: start + 40 * t, lambda t: 30)


def hop(start=5.0):
    return walk(lambda t: start + 20 * t, lambda t: 40 - 25 * abs(np.sin(6 * t)))


@pytest.fixture
def recognizer() -> MotionRecognizer:
    return MotionRecognizer({"slide": [slide(4), slide(7)], "hop": [hop(4), hop(8)], "none": []})


def entry(condition, masks, detected) -> VideoEntry:
    frames = np.zeros((*masks.shape, 3), np.uint8)
    return VideoEntry("a", "p", condition, frames, masks, 8.0, {}, detected)


def test_the_sentence_says_whether_the_motion_was_learned(recognizer):
    videos = [("hop", entry("full", hop(n), hop(n))) for n in range(8)]
    still = np.repeat(hop()[:1], 12, axis=0)
    frozen = [("hop", entry("no_mask", hop(n), still)) for n in range(8)]
    learned = [("hop", entry("no_mask", hop(n), hop(n))) for n in range(8)]
    enforced = describe_recognition(measure_recognition(videos + frozen, recognizer), 2)
    assert "in 8 of 8 videos (control masks 8 of 8, mask term off " in enforced
    assert ("the motion was also learned" in enforced) == (recognizer.recognize(still) == "hop")
    assert "was also learned" in describe_recognition(measure_recognition(videos + learned, recognizer), 2)
    assert measure_recognition(videos, MotionRecognizer({"hop": [hop()]})) == []
    assert describe_recognition([], 0) == ""
