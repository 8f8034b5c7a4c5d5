"""Masks are assigned to the motion that they show."""

from __future__ import annotations

import pytest

from mvmodel.motion.recognition import MotionRecognizer
from tests.motion.masks_of_motions import hop, make_recognizer, slide


@pytest.fixture
def recognizer() -> MotionRecognizer:
    return make_recognizer()


def test_masks_are_recognized_wherever_they_are(recognizer):
    assert recognizer.motions == ["slide", "hop"]
    assert recognizer.recognize(slide(10)) == "slide" and recognizer.recognize(hop(12)[:, ::-1, ::-1]) != "slide"
    assert recognizer.recognize(hop(15)) == "hop" and recognizer.recognize(hop(15)[:, :, ::-1]) == "hop"
    assert recognizer.recognize(slide() & False) == ""
