"""How differently two clips move: the distance between their descriptors.

It is the root mean square over the descriptor's numbers of their differences, each in units of how much that number
varies within one motion (`SPREAD`) and clipped at `_MAX_DIFFERENCE`: about 1 between two clips of one motion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mvmodel.motion.descriptor import DESCRIPTOR_NAMES

SPREAD: dict[str, float] = {
    "travel": 0.30,
    "path": 0.45,
    "straightness": 0.12,
    "sideways": 0.25,
    "rise": 0.30,
    "sideways_swing": 0.05,
    "vertical_swing": 0.045,
    "vertical_skew": 0.35,
    "sideways_turns": 1.0,
    "vertical_turns": 1.2,
    "vertical_jerk": 0.20,
    "circling": 0.20,
    "growth": 0.15,
    "area_swing": 0.06,
    "squash": 0.04,
    "squash_low": 0.03,
    "tilt_swing": 0.05,
    "spin": 0.50,
    "deformation": 0.10,
    "rhythm": 0.25,
}
"""How much each number varies between clips of one motion: measured on renders, with room for poor masks."""
_MAX_DIFFERENCE = 6.0
"""Differences are clipped here. One number alone must be able to separate two motions (a thing that grows on the spot
from one that stands still): 6 over the root of twenty numbers is just above `GroupConfig.cluster_distance`."""
_BLOCK_PAIRS = 50_000
"""Pairs that are compared at the same time; their differences fit into a processor's cache."""


class ClipDistances:
    """Distances between clips, computed when they are asked for: a table of all pairs grows with the square.

    descriptors: one row per clip, with a column for each of `DESCRIPTOR_NAMES`. Clips are named by their row number.
    """

    def __init__(self, descriptors: pd.DataFrame) -> None:
        self._values = descriptors[list(DESCRIPTOR_NAMES)].to_numpy(float)

    def between(self, first: Sequence[int], second: Sequence[int]) -> np.ndarray:
        """Distance of each of the first clips to each of the second: float (first, second)."""
        rows, columns = self._values[list(first)], self._values[list(second)]
        distances = np.empty((len(rows), len(columns)))
        step = max(1, _BLOCK_PAIRS // max(1, len(columns)))
        for start in range(0, len(rows), step):
            distances[start : start + step] = _compare(rows[start : start + step], columns)
        return distances


def _compare(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance of each of the first descriptors, float (first, numbers), to each of the second: float (first, second).

    The numbers are added one by one, so that the sums do not depend on how many descriptors are compared together.
    """
    squares = np.zeros((len(first), len(second)))
    for number, name in enumerate(DESCRIPTOR_NAMES):
        differences = np.abs(first[:, number, None] - second[None, :, number]) / SPREAD[name]
        squares += np.minimum(differences, _MAX_DIFFERENCE) ** 2
    return np.asarray(np.sqrt(squares / len(DESCRIPTOR_NAMES)))


def compute_distances(descriptors: pd.DataFrame) -> np.ndarray:
    """Distance of every clip to every other clip: float (clips, clips).

    descriptors: one row per clip, with a column for each of `DESCRIPTOR_NAMES`.
    """
    clips = range(len(descriptors))
    return ClipDistances(descriptors).between(clips, clips)


def compute_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance between descriptors: float (...).

    first, second: float (..., numbers), with the numbers in the order of `DESCRIPTOR_NAMES`; they are broadcast.
    """
    units = np.array([SPREAD[name] for name in DESCRIPTOR_NAMES])
    differences = np.minimum(np.abs(first - second) / units, _MAX_DIFFERENCE)
    return np.asarray(np.sqrt((differences**2).mean(axis=-1)))
