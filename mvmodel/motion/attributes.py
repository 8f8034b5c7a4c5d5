"""What a person would also say of a motion: which way, how fast, how often, and what the camera did.

The way is the one in the world: where the object is in the picture plus where the camera has gone by then, so that what
the camera follows does not stand still. Grouping does not look at these: two clips of one motion may go opposite ways,
at different speeds, under any camera.
They name groups ("bouncing-right"), and stand beside the descriptor in the table of motions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.motion.descriptor import Track, even

ATTRIBUTES: dict[str, str] = {
    "rightward": "horizontal distance from the first to the last place, right is positive, in object sizes",
    "upward": "vertical distance between them, up is positive, in object sizes",
    "direction": "where the last place lies from the first, degrees counter-clockwise from the right; 0 when it stays",
    "curvature": "turning of the way per object size travelled, radians, without sign; 0 when it stays",
    "speed": "length of the way per second, in object sizes",
    "unsteadiness": "standard deviation of the speed over its mean: 0 is an even pace",
    "frequency": "cycles per second of the strongest period in place, size or angle; 0 when there is none",
    "amplitude": "half the height of that period: object sizes (place), log of area (size), quarter turns (angle)",
    "camera_right": "how far the camera travelled to the right, in frame widths",
    "camera_up": "how far the camera travelled upwards, in frame heights",
}
"""Name of every fact -> what it says. The invariances are in docs/masks.md and in tests/motion/test_facts.py."""

_STAYS = 0.3
"""A way that ends nearer than so many object sizes to where it began has no direction."""
_REPEATS = 0.45
"""Share of a signal's power that one frequency must hold to be a period."""
_LEAST_CYCLES = 1.5


def compute_motion_attributes(sequence: MaskSequence, camera: np.ndarray | None = None) -> dict[str, float]:
    """Every name of `FACTS` with a finite number.

    Where fewer than three frames have a foreground, all but the camera's are zero.
    camera: what `camera_way` found, float (frames, 2): right in frame widths, up in frame heights. None is a camera
    that stands still. Raises InputError for another number of frames than the masks'.
    """
    camera = np.zeros((sequence.frames, 2)) if camera is None else camera
    if camera.shape != (sequence.frames, 2):
        raise InputError(f"the camera's way has shape {camera.shape}; {sequence.frames} masks need as many places")
    values = dict.fromkeys(ATTRIBUTES, 0.0)
    values["camera_right"], values["camera_up"] = (camera[-1] - camera[0]).tolist()
    seen = np.flatnonzero(sequence.masks.any(axis=(1, 2)))
    if len(seen) < 3:
        return values
    track = Track(sequence.masks, seen)
    followed = camera * (sequence.width, sequence.height) / track.size
    x = (-track.x if track.mirrored else track.x) + followed[:, 0]
    y = track.y + followed[:, 1]
    seconds = (len(x) - 1) / sequence.fps
    steps = np.hypot(np.diff(x), np.diff(y))
    values["rightward"] = float(x[-1] - x[0])
    values["upward"] = float(y[-1] - y[0])
    values["speed"] = float(steps.sum() / seconds)
    values["unsteadiness"] = float(steps.std() / steps.mean()) if steps.mean() > 0.01 else 0.0
    if np.hypot(x[-1] - x[0], y[-1] - y[0]) >= _STAYS:
        values["direction"] = float(np.degrees(np.arctan2(y[-1] - y[0], x[-1] - x[0])))
    values["curvature"] = _curvature(x, y)
    found = _period(track, x, y, sequence.fps)
    values["frequency"], values["amplitude"] = found.frequency, found.amplitude
    return values


def _curvature(x: np.ndarray, y: np.ndarray) -> float:
    """Steps shorter than a twentieth of the object turn at random, so they are left out."""
    dx, dy = np.diff(x), np.diff(y)
    long = np.hypot(dx, dy) > 0.05
    if long.sum() < 2:
        return 0.0
    heading = np.unwrap(np.arctan2(dy[long], dx[long]))
    return float(np.abs(np.diff(heading)).sum() / np.hypot(dx, dy)[long].sum())


@dataclass(frozen=True)
class _Period:
    frequency: float = 0.0
    amplitude: float = 0.0
    strength: float = 0.0


def _period(track: Track, x: np.ndarray, y: np.ndarray, fps: float) -> _Period:
    """The strongest sine in any signal, by least squares over frequencies between the FFT's. x, y: the way."""
    best = _Period()
    signals = ((y, 0.04), (x, 0.04), (track.log_area, 0.04), (track.shows_angle * track.angle, 0.03))
    for signal, least in signals:
        rest = even(signal)
        if rest.std() < least:
            continue
        time = np.arange(len(signal)) / fps
        straight = np.column_stack([np.ones_like(time), time])
        span = len(signal) / fps
        for frequency in np.arange(_LEAST_CYCLES / span, fps / 3, 0.1 / span):
            phase = 2 * np.pi * frequency * time
            waves = np.column_stack([np.cos(phase), np.sin(phase), straight])
            fit = np.linalg.lstsq(waves, signal, rcond=None)[0]
            strength = 1 - float(((signal - waves @ fit) ** 2).sum() / (rest**2).sum())
            if strength > max(best.strength, _REPEATS):
                best = _Period(float(frequency), float(np.hypot(*fit[:2])), strength)
    return best


def estimate_camera_trajectory(frames: np.ndarray, side: int = 192) -> np.ndarray:
    """Where the camera is at every frame of a clip, uint8 (F, H, W, 3), seen from where it begins.

    float (F, 2): right in frame widths, up in frame heights. The scene's own motion, found by
    `segmentation.saliency.camera_path` on copies whose long side is `side` pixels, followed at the middle of the
    picture and turned around. Over ground without structure (a lawn, snow) a slow camera looks like one that stands
    still, and counts as such.
    """
    import cv2

    from mvmodel.segmentation.saliency import downscale_frames, estimate_camera_path

    small = downscale_frames(frames, side)
    height, width = small.shape[1:3]
    middle = np.array([width / 2, height / 2, 1.0])
    path = estimate_camera_path([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in small])
    steps = np.array([matrix @ middle - middle[:2] for matrix in path]).reshape(-1, 2)
    return np.vstack([np.zeros(2), np.cumsum(steps * (-1 / width, 1 / height), axis=0)])
