"""Attributes of a motion that a person would also name: its direction, speed and frequency, and what the camera did.

They describe the trajectory in the world: the object's position in the picture plus how far the camera has travelled by
then, so that an object that the camera follows does not stand still. Grouping ignores them, since two clips of one
motion may go in opposite directions, at different speeds, under any camera. They serve to name groups
("bouncing-right"), and are columns next to the descriptor's in the table of motions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.motion.descriptor import Track, remove_trend

ATTRIBUTES: dict[str, str] = {
    "rightward": "horizontal distance from the first to the last position, right is positive, in object sizes",
    "upward": "vertical distance between them, up is positive, in object sizes",
    "direction": "direction between them, degrees counter-clockwise from the right; 0 if it stays",
    "curvature": "turning of the trajectory per object size travelled, radians, without sign; 0 if it stays",
    "speed": "length of the trajectory per second, in object sizes",
    "unsteadiness": "standard deviation of the speed over its mean: 0 is an even pace",
    "frequency": "cycles per second of the strongest period in position, size or angle; 0 if there is none",
    "amplitude": "half the height of that period: object sizes (position), log of area (size), quarter turns (angle)",
    "camera_right": "how far the camera travelled to the right, in frame widths",
    "camera_up": "how far the camera travelled upwards, in frame heights",
}
"""Name of every attribute -> its meaning. docs/masks.md and tests/motion/test_attributes.py state the invariances."""

_MIN_DISTANCE = 0.3
"""A trajectory that ends nearer to its beginning, in object sizes, has no direction."""
_MIN_PERIOD_STRENGTH = 0.45
"""Share of a signal's power that one frequency must hold to be a period."""
_MIN_CYCLES = 1.5


def compute_motion_attributes(sequence: MaskSequence, camera: np.ndarray | None = None) -> dict[str, float]:
    """Compute every attribute of `ATTRIBUTES`, each a finite number.

    camera: the camera's trajectory from `estimate_camera_trajectory`, float (frames, 2), to the right in frame widths
    and upwards in frame heights; None is a camera that stands still. If fewer than three frames have a foreground, all
    attributes but the camera's are zero. Raises InputError if the numbers of frames differ.
    """
    camera = np.zeros((sequence.frames, 2)) if camera is None else camera
    if camera.shape != (sequence.frames, 2):
        raise InputError(
            f"the camera trajectory has shape {camera.shape}; for {sequence.frames} masks it must be "
            f"({sequence.frames}, 2)"
        )
    values = dict.fromkeys(ATTRIBUTES, 0.0)
    values["camera_right"], values["camera_up"] = (camera[-1] - camera[0]).tolist()
    visible = np.flatnonzero(sequence.masks.any(axis=(1, 2)))
    if len(visible) < 3:
        return values
    track = Track(sequence.masks, visible)
    camera_in_object_sizes = camera * (sequence.width, sequence.height) / track.size
    x = (-track.x if track.mirrored else track.x) + camera_in_object_sizes[:, 0]
    y = track.y + camera_in_object_sizes[:, 1]
    seconds = (len(x) - 1) / sequence.fps
    steps = np.hypot(np.diff(x), np.diff(y))
    values["rightward"] = float(x[-1] - x[0])
    values["upward"] = float(y[-1] - y[0])
    values["speed"] = float(steps.sum() / seconds)
    values["unsteadiness"] = float(steps.std() / steps.mean()) if steps.mean() > 0.01 else 0.0
    if np.hypot(x[-1] - x[0], y[-1] - y[0]) >= _MIN_DISTANCE:
        values["direction"] = float(np.degrees(np.arctan2(y[-1] - y[0], x[-1] - x[0])))
    values["curvature"] = _curvature(x, y)
    period = _find_period(track, x, y, sequence.fps)
    values["frequency"], values["amplitude"] = period.frequency, period.amplitude
    return values


def _curvature(x: np.ndarray, y: np.ndarray) -> float:
    """Turning per length. Steps shorter than a twentieth of the object turn at random and are left out."""
    dx, dy = np.diff(x), np.diff(y)
    is_long = np.hypot(dx, dy) > 0.05
    if is_long.sum() < 2:
        return 0.0
    heading = np.unwrap(np.arctan2(dy[is_long], dx[is_long]))
    return float(np.abs(np.diff(heading)).sum() / np.hypot(dx, dy)[is_long].sum())


@dataclass(frozen=True)
class _Period:
    frequency: float = 0.0
    amplitude: float = 0.0
    strength: float = 0.0


def _find_period(track: Track, x: np.ndarray, y: np.ndarray, fps: float) -> _Period:
    """The strongest sine in any signal, by least squares over frequencies finer than the FFT's.

    x, y: the trajectory in the world.
    """
    best = _Period()
    signals = ((y, 0.04), (x, 0.04), (track.log_area, 0.04), (track.shows_angle * track.angle, 0.03))
    for signal, min_deviation in signals:
        residual = remove_trend(signal)
        if residual.std() < min_deviation:
            continue
        time = np.arange(len(signal)) / fps
        trend = np.column_stack([np.ones_like(time), time])
        duration = len(signal) / fps
        for frequency in np.arange(_MIN_CYCLES / duration, fps / 3, 0.1 / duration):
            phase = 2 * np.pi * frequency * time
            waves = np.column_stack([np.cos(phase), np.sin(phase), trend])
            fit = np.linalg.lstsq(waves, signal, rcond=None)[0]
            strength = 1 - float(((signal - waves @ fit) ** 2).sum() / (residual**2).sum())
            if strength > max(best.strength, _MIN_PERIOD_STRENGTH):
                best = _Period(float(frequency), float(np.hypot(*fit[:2])), strength)
    return best
