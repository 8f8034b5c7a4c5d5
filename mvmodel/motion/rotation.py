"""How far a shape has rotated, from its outline alone: the angle at which consecutive masks fit best.

Unlike the principal axis (second moments), which a square does not have and which half a turn does not change, this
works for every shape that is not round.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

_BINS = 144
_STEP = 0.25
"""Degrees between the angles that are tried."""
_BLUR = 6.0
"""Degrees over which a profile is smoothed; pixels distort a shape at finer scales."""
_MAX_ROTATION = 60.0
"""Degrees that a shape may rotate from one mask to the next; a larger rotation looks like a smaller one backwards."""
_MIN_CORRELATION = 0.85
"""Correlation from which two profiles are of one shape, rotated; below it, the shape has deformed."""
_SIMILAR_CORRELATION = 0.03
"""Among angles whose correlations differ by less, as a square's do, the smallest angle is used."""
_ROUND, _NOT_ROUND = 0.03, 0.10
"""Relative variation of the mass around the centre up to which a shape is round, and from which on it is not."""


def measure_rotation(masks: list[np.ndarray], reach: int = 1) -> tuple[np.ndarray, float]:
    """Measure each mask's angle against the first mask, and how well the shapes show an angle.

    masks: bool (height, width) each, not empty. reach: only every `reach`-th mask is compared, and angles between are
    interpolated; a shape that deforms seems to rotate differently when it is compared at another pace.

    Returns the angles, float (masks,), in degrees, counter-clockwise positive, full turns adding up; and a number from
    0 (the shapes are round, so the angles are noise) to 1.
    """
    spectra = np.fft.rfft(np.stack([_angular_profile(mask) for mask in masks]))[:, 1:]
    cycles = np.arange(1, _BINS // 2 + 1)
    spectra *= np.exp(-0.5 * (cycles * np.radians(_BLUR)) ** 2)
    strength = np.maximum(np.sqrt((np.abs(spectra) ** 2).sum(axis=1)), 1e-9)
    compared = np.unique([*range(0, len(masks), reach), len(masks) - 1])
    steps = [_best_angle(first, second) for first, second in pairwise((spectra / strength[:, None])[compared])]
    angles = np.interp(np.arange(len(masks)), compared, np.concatenate([[0.0], np.cumsum(steps)]))
    shows_angle = np.clip((strength.mean() / _BINS - _ROUND) / (_NOT_ROUND - _ROUND), 0, 1)
    return angles, float(shows_angle)


def _angular_profile(mask: np.ndarray) -> np.ndarray:
    """A mask's mass by direction from its centre, weighted by its distance: float (bins,), mean 1."""
    rows, columns = np.nonzero(mask)
    x, y = columns - columns.mean(), rows.mean() - rows
    position = np.arctan2(y, x) / (2 * np.pi) * _BINS
    low = np.floor(position).astype(int)
    fraction = position - low
    weight = np.hypot(x, y) + 1e-9
    profile = np.bincount(low % _BINS, weight * (1 - fraction), _BINS)
    profile += np.bincount((low + 1) % _BINS, weight * fraction, _BINS)
    normalized: np.ndarray = profile / profile.mean()
    return normalized


def _best_angle(first: np.ndarray, second: np.ndarray) -> float:
    """Degrees between two profiles, given as spectra of norm 1 without their mean."""
    count = round(360 / _STEP)
    fit = np.fft.irfft(np.concatenate([[0], first.conj() * second]), count) * count / 2
    limit = round(_MAX_ROTATION / _STEP)
    near = np.concatenate([fit[-limit:], fit[: limit + 1]])
    peaks = np.flatnonzero((near[1:-1] >= near[:-2]) & (near[1:-1] >= near[2:])) + 1
    peaks = peaks[near[peaks] >= max(_MIN_CORRELATION, near.max() - _SIMILAR_CORRELATION)]
    return float(min(peaks - limit, key=abs) * _STEP) if len(peaks) else 0.0
