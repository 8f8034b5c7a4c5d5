"""A motion as a few named numbers, computed from a mask sequence alone.

They do not tell what moves, where in the picture, how large it is, or whether it goes left or right. Lengths are in
units of the object's own size (the root of its mean area), so a small and a large object that hop alike are alike.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from mvmodel.masks import MaskSequence

DESCRIPTORS: dict[str, str] = {
    "travel": "distance between the first and the last place, in object sizes",
    "path": "length of the way between them, in object sizes",
    "straightness": "travel over path: 1 is a straight line, 0 comes back",
    "sideways": "horizontal distance between the first and the last place, in object sizes",
    "rise": "vertical distance between them, up is positive, in object sizes",
    "sideways_swing": "horizontal deviation from an even pace (standard deviation), in object sizes",
    "vertical_swing": "vertical deviation from an even pace (standard deviation), in object sizes",
    "vertical_skew": "whether it lingers high (positive) or low (negative)",
    "sideways_turns": "changes of horizontal direction",
    "vertical_turns": "changes of vertical direction",
    "vertical_jerk": "how sudden the vertical turns are: mean change of vertical speed over mean vertical speed",
    "circling": "signed area that the way encloses over its extent squared, without sign: 0.79 is a full circle",
    "growth": "logarithm of the last area over the first",
    "area_swing": "deviation of the logarithm of the area from an even change",
    "squash": "deviation of the logarithm of height over width",
    "squash_low": "whether it is flatter when it is low: correlation of height over width with height, times squash",
    "tilt_swing": "deviation of the angle from an even turn, in quarter turns, as far as the shape shows an angle",
    "spin": "turn from the first to the last frame, in quarter turns, without sign, as far as the shape shows one",
    "deformation": "1 minus the mean IoU of neighbouring masks laid on top of each other at one size",
    "rhythm": "strength of the strongest period in place, size and angle, 0 to 1",
}
"""Name of every number of a descriptor -> what it says."""

DESCRIPTOR_NAMES: tuple[str, ...] = tuple(DESCRIPTORS)


def describe(sequence: MaskSequence) -> dict[str, float]:
    """The descriptor of a mask sequence: every name of `DESCRIPTORS` with a finite number.

    Frames without foreground are bridged from their neighbours. A sequence without any gives zeros.
    """
    seen = np.flatnonzero(sequence.masks.any(axis=(1, 2)))
    if len(seen) < 3:
        return dict.fromkeys(DESCRIPTOR_NAMES, 0.0)
    track = Track(sequence.masks, seen)
    values = {name: float(measure(track)) for name, measure in _MEASURES.items()}
    return {name: value if np.isfinite(value) else 0.0 for name, value in values.items()}


class Track:
    """Where the foreground is, how large and how turned, for every frame; mirrored where it ends left of its start."""

    def __init__(self, masks: np.ndarray, seen: np.ndarray) -> None:
        every = np.arange(len(masks))
        rows = np.array([_moments(masks[index]) for index in seen])
        area, x, y, height, width, _, elongation = (np.interp(every, seen, column) for column in rows.T)
        self.size = float(np.sqrt(area.mean()))
        self.x, self.y = _calm(x / self.size), _calm(-y / self.size)
        self.mirrored = bool(self.x[-1] < self.x[0])
        if self.mirrored:
            self.x = -self.x
        self.log_area = np.log(area)
        self.log_aspect = np.log(height / width)
        # An angle and its opposite look alike, so it is followed in double; round shapes show none at all.
        doubled = np.interp(every, seen, np.unwrap(2 * rows[:, 5]))
        self.angle = doubled / np.pi
        self.shows_angle = float(np.clip((elongation.mean() - 1.08) / 0.35, 0, 1))
        self.masks = [masks[index] for index in seen]


def _calm(values: np.ndarray) -> np.ndarray:
    """Take out single jumps of a badly cut mask, and nothing else."""
    middle = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    calm = values.copy()
    jump = np.abs(values[1:-1] - middle) > 0.5
    calm[1:-1][jump] = middle[jump]
    return calm


def _moments(mask: np.ndarray) -> tuple[float, ...]:
    """Area, centre x and y, height and width of the box, angle (radians) and elongation of a mask."""
    rows, columns = np.nonzero(mask)
    x, y = columns.mean(), rows.mean()
    xx, yy = columns.var() + 1 / 12, rows.var() + 1 / 12
    xy = ((columns - x) * (rows - y)).mean()
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    spread = np.hypot(xx - yy, 2 * xy)
    elongation = np.sqrt((xx + yy + spread) / max(xx + yy - spread, 1e-6))
    return len(rows), x, y, np.ptp(rows) + 1.0, np.ptp(columns) + 1.0, angle, elongation


def even(values: np.ndarray) -> np.ndarray:
    """The values less the straight line through them."""
    time = np.linspace(-1, 1, len(values))
    slope, offset = np.polyfit(time, values, 1)
    residual: np.ndarray = values - slope * time - offset
    return residual


def _turns(values: np.ndarray, least: float) -> int:
    """Changes of direction, small ones (below `least`) left out."""
    turns, direction, extreme = 0, 0, values[0]
    for value in values[1:]:
        if direction == 0:
            if abs(value - extreme) >= least:
                direction, extreme = int(np.sign(value - extreme)), value
        elif direction * (value - extreme) > 0:
            extreme = value
        elif abs(value - extreme) >= least:
            turns, direction, extreme = turns + 1, -direction, value
    return turns


def _skew(values: np.ndarray) -> float:
    spread = values.std()
    return float(((values - values.mean()) ** 3).mean() / spread**3) if spread > 0.03 else 0.0


def _jerk(values: np.ndarray) -> float:
    speed = np.diff(values)
    mean = np.abs(speed).mean()
    return float(np.abs(np.diff(speed)).mean() / mean) if mean > 0.01 else 0.0


def _circling(track: Track) -> float:
    x, y = np.append(track.x, track.x[0]), np.append(track.y, track.y[0])
    area = 0.5 * abs(float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()))
    extent = max(np.ptp(track.x), np.ptp(track.y))
    return area / extent**2 if extent > 0.15 else 0.0


def _squash_low(track: Track) -> float:
    aspect, height = even(track.log_aspect), even(track.y)
    if aspect.std() < 0.01 or height.std() < 0.02:
        return 0.0
    return float(np.corrcoef(aspect, height)[0, 1] * aspect.std())


def _deformation(track: Track) -> float:
    import cv2

    side = 48
    laid = []
    for mask in track.masks:
        rows, columns = np.nonzero(mask)
        scale = 0.4 * side / max(np.sqrt(len(rows)), 1.0)
        x, y = columns.mean(), rows.mean()
        matrix = np.array([[scale, 0, side / 2 - scale * x], [0, scale, side / 2 - scale * y]])
        laid.append(cv2.warpAffine(mask.astype(np.float32), matrix, (side, side)) > 0.5)
    overlaps = [(a & b).sum() / max((a | b).sum(), 1) for a, b in pairwise(laid)]
    return float(1 - np.mean(overlaps))


def _rhythm(track: Track) -> float:
    """The strongest share of one frequency (two cycles or more would be a rhythm) in the spectrum of any signal."""
    strongest = 0.0
    for signal, least in ((track.y, 0.04), (track.x, 0.04), (track.log_area, 0.04), (track.angle, 0.03)):
        residual = even(signal)
        if residual.std() > least:
            power = np.abs(np.fft.rfft(residual * np.hanning(len(residual)))) ** 2
            if len(power) > 3:
                strongest = max(strongest, float(power[2:].max() / max(power[1:].sum(), 1e-9)))
    return strongest


_MEASURES: dict[str, Callable[[Track], float]] = {
    "travel": lambda t: float(np.hypot(t.x[-1] - t.x[0], t.y[-1] - t.y[0])),
    "path": lambda t: float(np.hypot(np.diff(t.x), np.diff(t.y)).sum()),
    "straightness": lambda t: float(
        np.hypot(t.x[-1] - t.x[0], t.y[-1] - t.y[0]) / max(np.hypot(np.diff(t.x), np.diff(t.y)).sum(), 0.3)
    ),
    "sideways": lambda t: float(t.x[-1] - t.x[0]),
    "rise": lambda t: float(t.y[-1] - t.y[0]),
    "sideways_swing": lambda t: float(even(t.x).std()),
    "vertical_swing": lambda t: float(even(t.y).std()),
    "vertical_skew": lambda t: _skew(even(t.y)),
    "sideways_turns": lambda t: _turns(t.x, 0.08),
    "vertical_turns": lambda t: _turns(t.y, 0.04),
    "vertical_jerk": lambda t: _jerk(t.y),
    "circling": _circling,
    "growth": lambda t: float(t.log_area[-2:].mean() - t.log_area[:2].mean()),
    "area_swing": lambda t: float(even(t.log_area).std()),
    "squash": lambda t: float(even(t.log_aspect).std()),
    "squash_low": _squash_low,
    "tilt_swing": lambda t: t.shows_angle * float(even(t.angle).std()),
    "spin": lambda t: t.shows_angle * abs(float(t.angle[-1] - t.angle[0])),
    "deformation": _deformation,
    "rhythm": _rhythm,
}
