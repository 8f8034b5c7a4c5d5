"""What a leaderboard says of learned and enforced motions."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.motion.recognition import MotionRecognizer
from mvmodel.reports.entries import VideoEntry
from mvmodel.reports.recognition import describe_recognition, measure_recognition
from tests.motion.masks_of_motions import hop, make_recognizer


@pytest.fixture
def recognizer() -> MotionRecognizer:
    return make_recognizer()


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
