"""The descriptor of a motion: a few named numbers, computed from a mask sequence alone.

They do not depend on what moves, where in the picture, how large it is, or whether it goes left or right. Lengths are
in units of the object's own size (the root of its mean area), so that a small and a large object that hop in the same
way have the same descriptor.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from mvmodel.masks import MaskSequence
from mvmodel.masks.geometry import centroid, mask_iou, rotation_matrix
from mvmodel.motion.rotation import measure_rotation

DESCRIPTORS: dict[str, str] = {
    "travel": "distance between the first and the last position, in object sizes",
    "path": "length of the trajectory between them, in object sizes",
    "straightness": "travel divided by path: 1 is a straight line, 0 comes back",
    "sideways": "horizontal distance between the first and the last position, in object sizes",
    "rise": "vertical distance between them, up is positive, in object sizes",
    "sideways_swing": "horizontal deviation from an even pace (standard deviation), in object sizes",
    "vertical_swing": "vertical deviation from an even pace (standard deviation), in object sizes",
    "vertical_skew": "whether it stays longer high (positive) or low (negative)",
    "sideways_turns": "changes of horizontal direction",
    "vertical_turns": "changes of vertical direction",
    "vertical_jerk": "how sudden the vertical turns are: mean change over mean of the vertical speed, at 12 moments",
    "circling": "area that the trajectory encloses over its extent squared: 0.79 is a full circle, less if it is small",
    "growth": "logarithm of the last area over the first",
    "area_swing": "deviation of the logarithm of the area from an even change",
    "squash": "deviation of the logarithm of the object's own height over width, whatever its angle",
    "squash_low": "whether it is flatter when it is low: correlation of height over width with height, times squash",
    "tilt_swing": "deviation of the angle from an even rotation, in quarter turns; less for round shapes",
    "spin": "rotation from the first to the last frame, in quarter turns, without sign; less for round shapes",
    "deformation": "1 minus the mean IoU of masks a twelfth of the clip apart, at one size and angle",
    "rhythm": "strength of the strongest period in position, size and angle, 0 to 1",
}
"""Name of every number of a descriptor -> its meaning."""

_MOMENTS = 12
"""Moments of a clip at which sudden turns, angles and deformation are measured, whatever its frame rate."""
DESCRIPTOR_NAMES: tuple[str, ...] = tuple(DESCRIPTORS)


def compute_descriptor(sequence: MaskSequence) -> dict[str, float]:
    """Compute a mask sequence's descriptor: every name of `DESCRIPTORS` with a finite number.

    Frames without a foreground are interpolated. All numbers are zero if fewer than three frames have one.
    """
    visible = np.flatnonzero(sequence.masks.any(axis=(1, 2)))
    if len(visible) < 3:
        return dict.fromkeys(DESCRIPTOR_NAMES, 0.0)
    track = Track(sequence.masks, visible)
    values = {name: float(measure(track)) for name, measure in _MEASURES.items()}
    return {name: value if np.isfinite(value) else 0.0 for name, value in values.items()}


class Track:
    """The foreground's position, size and angle in every frame, mirrored if it ends to the left of its start.

    masks: bool (frames, height, width). visible: the frames that have a foreground, at least three. Positions x, y are
    in object sizes, y upwards; angle is in quarter turns.
    """

    def __init__(self, masks: np.ndarray, visible: np.ndarray) -> None:
        frames = np.arange(len(masks))
        rows = np.array([(np.count_nonzero(masks[index]), *centroid(masks[index])) for index in visible])
        area, x, y = (np.interp(frames, visible, column) for column in rows.T)
        self.size = float(np.sqrt(area.mean()))
        self.x, self.y = _remove_jumps(x / self.size), _remove_jumps(-y / self.size)
        self.mirrored = bool(self.x[-1] < self.x[0])
        if self.mirrored:
            self.x = -self.x
        self.log_area = np.log(area)
        self.masks = [masks[index] for index in visible]
        degrees, self.shows_angle = measure_rotation(self.masks, _frames_per_moment(len(visible)))
        self.angle = np.interp(frames, visible, degrees) / 90
        self.degrees = degrees * self.shows_angle
        aspects = [_log_aspect(mask, angle) for mask, angle in zip(self.masks, self.degrees, strict=True)]
        self.log_aspect = np.interp(frames, visible, aspects)


def _frames_per_moment(frames: int) -> int:
    """How many frames there are from one moment of a clip to the next."""
    return max(1, round((frames - 1) / _MOMENTS))


def _remove_jumps(values: np.ndarray) -> np.ndarray:
    """Remove single jumps, as a poor mask causes them, and nothing else."""
    medians = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    smooth = values.copy()
    is_jump = np.abs(values[1:-1] - medians) > 0.5
    smooth[1:-1][is_jump] = medians[is_jump]
    return smooth


def _log_aspect(mask: np.ndarray, degrees: float) -> float:
    """Logarithm of height over width of a mask, after it is rotated back by `degrees`."""
    rows, columns = np.nonzero(mask)
    x, y = columns - columns.mean(), rows.mean() - rows
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    across, along = x * cos + y * sin, y * cos - x * sin
    return float(0.5 * np.log((along.var() + 1 / 12) / (across.var() + 1 / 12)))


def remove_trend(values: np.ndarray) -> np.ndarray:
    """Subtract from values, float (frames,), the straight line that fits them best."""
    time = np.linspace(-1, 1, len(values))
    slope, offset = np.polyfit(time, values, 1)
    residual: np.ndarray = values - slope * time - offset
    return residual


def _count_turns(values: np.ndarray, min_change: float) -> int:
    """Count changes of direction, ignoring changes smaller than `min_change`."""
    turns, direction, extreme = 0, 0, values[0]
    for value in values[1:]:
        if direction == 0:
            if abs(value - extreme) >= min_change:
                direction, extreme = int(np.sign(value - extreme)), value
        elif direction * (value - extreme) > 0:
            extreme = value
        elif abs(value - extreme) >= min_change:
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
    # The centre of a shape that rotates on the spot circles a little too, so small trajectories count less.
    weight = float(np.clip((extent - 0.15) / 0.5, 0, 1))
    return weight * area / max(extent, 0.15) ** 2


def _squash_low(track: Track) -> float:
    aspect, height = remove_trend(track.log_aspect), remove_trend(track.y)
    if aspect.std() < 0.01 or height.std() < 0.02:
        return 0.0
    return float(np.corrcoef(aspect, height)[0, 1] * aspect.std())


def _deformation(track: Track) -> float:
    side = 48
    aligned = []
    for mask, degrees in zip(track.masks, track.degrees, strict=True):
        scale = 0.4 * side / max(np.sqrt(np.count_nonzero(mask)), 1.0)
        linear = scale * rotation_matrix(-degrees)
        offset = side / 2 - linear @ centroid(mask)
        matrix = np.column_stack([linear, offset])
        aligned.append(cv2.warpAffine(mask.astype(np.float32), matrix, (side, side)) > 0.5)
    reach = _frames_per_moment(len(aligned))
    overlaps = [mask_iou(a, b, both_empty=0.0) for a, b in zip(aligned, aligned[reach:], strict=False)]
    return float(1 - np.mean(overlaps))


def _rhythm(track: Track) -> float:
    """The largest share of one frequency, of two cycles or more, in the spectrum of any signal."""
    strongest = 0.0
    for signal, min_deviation in ((track.y, 0.04), (track.x, 0.04), (track.log_area, 0.04), (track.angle, 0.03)):
        residual = remove_trend(signal)
        if residual.std() > min_deviation:
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
    "sideways_swing": lambda t: float(remove_trend(t.x).std()),
    "vertical_swing": lambda t: float(remove_trend(t.y).std()),
    "vertical_skew": lambda t: _skew(remove_trend(t.y)),
    "sideways_turns": lambda t: _count_turns(t.x, 0.08),
    "vertical_turns": lambda t: _count_turns(t.y, 0.04),
    "vertical_jerk": lambda t: _jerk(t.y),
    "circling": _circling,
    "growth": lambda t: float(t.log_area[-2:].mean() - t.log_area[:2].mean()),
    "area_swing": lambda t: float(remove_trend(t.log_area).std()),
    "squash": lambda t: float(remove_trend(t.log_aspect).std()),
    "squash_low": _squash_low,
    "tilt_swing": lambda t: t.shows_angle * float(remove_trend(t.angle).std()),
    "spin": lambda t: t.shows_angle * abs(float(t.angle[-1] - t.angle[0])),
    "deformation": _deformation,
    "rhythm": _rhythm,
}
