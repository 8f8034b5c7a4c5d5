"""Mask sequences of two motions, and a recognizer that knows them."""

from __future__ import annotations

import numpy as np

from mvmodel.motion.recognition import MotionRecognizer


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


def make_recognizer() -> MotionRecognizer:
    return MotionRecognizer({"slide": [slide(4), slide(7)], "hop": [hop(4), hop(8)], "none": []})
