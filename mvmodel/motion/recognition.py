"""Which of the known motions a mask sequence shows, by its descriptor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mvmodel.masks import MaskSequence
from mvmodel.motion.descriptor import DESCRIPTOR_NAMES, compute_descriptor
from mvmodel.motion.distance import compute_distance


class MotionRecognizer:
    """Assigns masks to the motion whose clips they are nearest to.

    clips: motion -> masks of its clips, each bool (frames, height, width). Motions without clips are left out.
    """

    def __init__(self, clips: Mapping[str, Sequence[np.ndarray]]) -> None:
        self.descriptors = {
            motion: np.stack([_describe(masks) for masks in sequences])
            for motion, sequences in clips.items()
            if sequences
        }

    @property
    def motions(self) -> list[str]:
        return list(self.descriptors)

    def recognize(self, masks: np.ndarray) -> str:
        """The motion with the smallest mean distance to its clips. masks: bool (frames, height, width).

        "" if fewer than three frames show anything, since nothing can be said of their motion.
        """
        if np.count_nonzero(masks.any(axis=(1, 2))) < 3:
            return ""
        descriptor = _describe(masks)
        distances = {
            motion: float(compute_distance(reference, descriptor).mean())
            for motion, reference in self.descriptors.items()
        }
        return min(distances, key=lambda motion: distances[motion])


def _describe(masks: np.ndarray) -> np.ndarray:
    """A descriptor's numbers in the order of `DESCRIPTOR_NAMES`."""
    values = compute_descriptor(MaskSequence(masks))
    return np.array([values[name] for name in DESCRIPTOR_NAMES])
