"""How far a shape has turned, from its outline alone: masks laid on each other at the angle at which they fit best.

Unlike the axis of its second moments, which a square does not have and half a turn does not change, this follows every
shape that is not round.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

_BINS = 144
_STEP = 0.25
"""Degrees between the angles that are tried."""
_BLUR = 6.0
"""Degrees over which a profile is smoothed: what pixels do to a shape is finer."""
_MOST = 60.0
"""Degrees that a shape may turn from one mask to the next; more looks like less, backwards."""
_FITS = 0.85
"""Correlation of two profiles from which they are those of one shape, turned; below, it has deformed."""
_ALIKE = 0.03
"""Of angles whose correlations differ by less, as those of a square do, the smallest is taken."""
_ROUND, _UNROUND = 0.03, 0.10
"""Relative variation of the mass around the centre: up to the first a shape is round, from the second on it is not."""


def measure_rotation(masks: list[np.ndarray], reach: int = 1) -> tuple[np.ndarray, float]:
    """The angle of every mask, bool (height, width) and not empty, against the first: float (masks,), degrees.

    Counter-clockwise is positive, and full turns add up. Also how well the shapes show an angle: 0 (round) to 1.
    reach: only every so many masks are compared, and angles in between interpolated. Compared at another pace, a shape
    that deforms would seem to turn by another angle.
    """
    spectra = np.fft.rfft(np.stack([_profile(mask) for mask in masks]))[:, 1:]
    cycles = np.arange(1, _BINS // 2 + 1)
    spectra *= np.exp(-0.5 * (cycles * np.radians(_BLUR)) ** 2)
    strength = np.maximum(np.sqrt((np.abs(spectra) ** 2).sum(axis=1)), 1e-9)
    compared = np.unique([*range(0, len(masks), reach), len(masks) - 1])
    steps = [_step(first, second) for first, second in pairwise((spectra / strength[:, None])[compared])]
    angles = np.interp(np.arange(len(masks)), compared, np.concatenate([[0.0], np.cumsum(steps)]))
    shows = np.clip((strength.mean() / _BINS - _ROUND) / (_UNROUND - _ROUND), 0, 1)
    return angles, float(shows)


def _profile(mask: np.ndarray) -> np.ndarray:
    """How the mass of a mask, weighted by its distance, lies around its centre: float (bins,), mean 1."""
    rows, columns = np.nonzero(mask)
    x, y = columns - columns.mean(), rows.mean() - rows
    place = np.arctan2(y, x) / (2 * np.pi) * _BINS
    low = np.floor(place).astype(int)
    part = place - low
    weight = np.hypot(x, y) + 1e-9
    profile = np.bincount(low % _BINS, weight * (1 - part), _BINS)
    profile += np.bincount((low + 1) % _BINS, weight * part, _BINS)
    found: np.ndarray = profile / profile.mean()
    return found


def _step(first: np.ndarray, second: np.ndarray) -> float:
    """Degrees between two profiles, given as spectra of norm 1 without their mean."""
    count = round(360 / _STEP)
    fit = np.fft.irfft(np.concatenate([[0], first.conj() * second]), count) * count / 2
    most = round(_MOST / _STEP)
    near = np.concatenate([fit[-most:], fit[: most + 1]])
    peaks = np.flatnonzero((near[1:-1] >= near[:-2]) & (near[1:-1] >= near[2:])) + 1
    peaks = peaks[near[peaks] >= max(_FITS, near.max() - _ALIKE)]
    return float(min(peaks - most, key=abs) * _STEP) if len(peaks) else 0.0
