"""How differently two clips move: the distance between their descriptors.

It is the root mean square over the descriptor's numbers of their differences, each in units of how much that number
varies within one motion (`SPREAD`) and clipped at `_MAX_DIFFERENCE`: about 1 between two clips of one motion.
"""

from __future__ import annotations

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


def compute_distances(descriptors: pd.DataFrame) -> np.ndarray:
    """Distance of every clip to every other clip: float (clips, clips).

    descriptors: one row per clip, with a column for each of `DESCRIPTOR_NAMES`.
    """
    values = descriptors[list(DESCRIPTOR_NAMES)].to_numpy(float)
    return compute_distance(values[:, None], values[None])


def compute_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance between descriptors: float (...).

    first, second: float (..., numbers), with the numbers in the order of `DESCRIPTOR_NAMES`; they are broadcast.
    """
    units = np.array([SPREAD[name] for name in DESCRIPTOR_NAMES])
    differences = np.minimum(np.abs(first - second) / units, _MAX_DIFFERENCE)
    return np.asarray(np.sqrt((differences**2).mean(axis=-1)))
