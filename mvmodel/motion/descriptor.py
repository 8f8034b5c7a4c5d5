"""A motion as a few named numbers, computed from a mask sequence alone.

They do not tell what moves, where in the picture, how large it is, or whether it goes left or right. Lengths are in
units of the object's own size (the root of its mean area), so a small and a large object that hop alike are alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mvmodel.masks import MaskSequence
from mvmodel.motion.rotation import measure_rotation

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
    "vertical_jerk": "how sudden the vertical turns are: mean change over mean of the vertical speed, at 12 moments",
    "circling": "area that the way encloses over its extent squared: 0.79 is a full circle, less if it is small",
    "growth": "logarithm of the last area over the first",
    "area_swing": "deviation of the logarithm of the area from an even change",
    "squash": "deviation of the logarithm of its own height over width, whatever its angle",
    "squash_low": "whether it is flatter when it is low: correlation of height over width with height, times squash",
    "tilt_swing": "deviation of the angle from an even turn, in quarter turns, as far as the shape is not round",
    "spin": "turn from the first to the last frame, in quarter turns, without sign, as far as the shape is not round",
    "deformation": "1 minus the mean IoU of masks a twelfth of the clip apart, brought to one size and angle",
    "rhythm": "strength of the strongest period in place, size and angle, 0 to 1",
}
"""Name of every number of a descriptor -> what it says."""

_MOMENTS = 12
"""Moments of a clip at which sudden turns, angles and deformation are looked at, whatever its frame rate."""
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
        area, x, y = (np.interp(every, seen, column) for column in rows.T)
        self.size = float(np.sqrt(area.mean()))
        self.x, self.y = _calm(x / self.size), _calm(-y / self.size)
        self.mirrored = bool(self.x[-1] < self.x[0])
        if self.mirrored:
            self.x = -self.x
        self.log_area = np.log(area)
        self.masks = [masks[index] for index in seen]
        degrees, self.shows_angle = measure_rotation(self.masks, _reach(len(seen)))
        self.angle = np.interp(every, seen, degrees) / 90
        self.degrees = degrees * self.shows_angle
        aspects = [_log_aspect(mask, turn) for mask, turn in zip(self.masks, self.degrees, strict=True)]
        self.log_aspect = np.interp(every, seen, aspects)


def _reach(frames: int) -> int:
    """How many frames lie between two moments of a clip."""
    return max(1, round((frames - 1) / _MOMENTS))


def _calm(values: np.ndarray) -> np.ndarray:
    """Take out single jumps of a badly cut mask, and nothing else."""
    middle = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    calm = values.copy()
    jump = np.abs(values[1:-1] - middle) > 0.5
    calm[1:-1][jump] = middle[jump]
    return calm


def _moments(mask: np.ndarray) -> tuple[float, ...]:
    """Area and centre x and y of a mask."""
    rows, columns = np.nonzero(mask)
    return len(rows), columns.mean(), rows.mean()


def _log_aspect(mask: np.ndarray, degrees: float) -> float:
    """Logarithm of height over width of a mask that is first turned back by `degrees`."""
    rows, columns = np.nonzero(mask)
    x, y = columns - columns.mean(), rows.mean() - rows
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    across, along = x * cos + y * sin, y * cos - x * sin
    return float(0.5 * np.log((along.var() + 1 / 12) / (across.var() + 1 / 12)))


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
    moments = np.linspace(0, len(values) - 1, _MOMENTS)
    speed = np.diff(np.interp(moments, np.arange(len(values)), values))
    mean = np.abs(speed).mean()
    return float(np.abs(np.diff(speed)).mean() / mean) if mean > 0.01 else 0.0


def _circling(track: Track) -> float:
    x, y = np.append(track.x, track.x[0]), np.append(track.y, track.y[0])
    area = 0.5 * abs(float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()))
    extent = float(max(np.ptp(track.x), np.ptp(track.y)))
    # The centre of a shape that turns on the spot goes round too, a little: small ways count by degrees.
    counts = float(np.clip((extent - 0.15) / 0.5, 0, 1))
    return counts * area / max(extent, 0.15) ** 2


def _squash_low(track: Track) -> float:
    aspect, height = even(track.log_aspect), even(track.y)
    if aspect.std() < 0.01 or height.std() < 0.02:
        return 0.0
    return float(np.corrcoef(aspect, height)[0, 1] * aspect.std())


def _deformation(track: Track) -> float:
    import cv2

    side = 48
    laid = []
    for mask, degrees in zip(track.masks, track.degrees, strict=True):
        rows, columns = np.nonzero(mask)
        scale = 0.4 * side / max(np.sqrt(len(rows)), 1.0)
        linear = scale * _turn(-degrees)
        offset = side / 2 - linear @ (columns.mean(), rows.mean())
        matrix = np.column_stack([linear, offset])
        laid.append(cv2.warpAffine(mask.astype(np.float32), matrix, (side, side)) > 0.5)
    reach = _reach(len(laid))
    overlaps = [(a & b).sum() / max((a | b).sum(), 1) for a, b in zip(laid, laid[reach:], strict=False)]
    return float(1 - np.mean(overlaps))


def _turn(degrees: float) -> np.ndarray:
    """Turns picture coordinates (y down) counter-clockwise as seen, float (2, 2)."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, sin], [-sin, cos]])


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
