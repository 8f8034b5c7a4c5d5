"""Motion patterns: an object's position, scale and angle in every frame of a clip.

A pattern is a function of the clip's time, not only a path: a gallop moves, bobs and pitches at once. Positions are in
units of the frame's side with the origin at the top left; the sprite's own size is not part of a pose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SpritePoses:
    """Poses of one object, arrays of shape (frames,).

    x, y: centre, 0..1 of the frame's side. scale_x, scale_y: factors on the object's size. angle: degrees, positive
    is counter-clockwise. facing: 1 moves or looks to the right, -1 to the left.
    """

    x: np.ndarray
    y: np.ndarray
    scale_x: np.ndarray
    scale_y: np.ndarray
    angle: np.ndarray
    facing: int


VERBS: dict[str, str] = {
    "gallop": "gallops",
    "bounce": "bounces",
    "flap": "flaps",
    "spin": "spins",
    "sway": "sways",
    "grow": "grows",
    "orbit": "circles",
    "fall": "falls",
    "zigzag": "zigzags",
    "glide": "glides",
}
"""Motion name -> the verb a caption uses for it."""

_Curve = Callable[[np.ndarray, np.random.Generator], dict[str, np.ndarray | float]]


def _travel(t: np.ndarray, rng: np.random.Generator, span: float = 0.44) -> np.ndarray:
    start = 0.5 - span / 2 + rng.uniform(-0.05, 0.05)
    return start + span * t


def _gallop(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray | float]:
    phase = 2 * np.pi * (2 * t + rng.uniform(0, 1))
    return {
        "x": _travel(t, rng),
        "y": rng.uniform(0.52, 0.62) - 0.05 * np.abs(np.sin(phase)),
        "angle": 11 * np.cos(phase),
    }


def _bounce(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray | float]:
    phase = np.pi * (2 * t + rng.uniform(0, 1))
    height = np.abs(np.sin(phase))
    squash = 0.22 * np.clip(1 - height * 2.5, 0, 1)
    return {
        "x": _travel(t, rng, 0.30),
        "y": rng.uniform(0.66, 0.72) - 0.36 * height + 0.12 * squash,
        "scale_x": 1 + squash,
        "scale_y": 1 - squash,
    }


def _flap(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray | float]:
    phase = 2 * np.pi * (3 * t + rng.uniform(0, 1))
    return {
        "x": _travel(t, rng, 0.28),
        "y": rng.uniform(0.54, 0.60) - 0.16 * t + 0.03 * np.sin(phase),
        "scale_y": 1 + 0.24 * np.sin(phase),
        "scale_x": 1 - 0.10 * np.sin(phase),
    }


def _spin(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray | float]:
    return {
        "x": rng.uniform(0.42, 0.58),
        "y": rng.uniform(0.46, 0.58),
        "angle": -360 * t + rng.uniform(-25, 25),
    }


def _sway(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray | float]:
    phase = 2 * np.pi * (1.5 * t + rng.uniform(0, 1))
    return {
        "x": rng.uniform(0.42, 0.58) + 0.13 * np.sin(phase),
        "y": rng.uniform(0.50, 0.60) + 0.02 * np.cos(2 * phase),
        "angle": -24 * np.sin(phase),
    }


def _grow(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray | float]:
    scale = 0.62 + 0.76 * t
    return {
        "x": rng.uniform(0.42, 0.58),
        "y": rng.uniform(0.48, 0.56),
        "scale_x": scale,
        "scale_y": scale,
    }


def _orbit(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray | float]:
    phase = 2 * np.pi * (t + rng.uniform(0, 1))
    return {
        "x": rng.uniform(0.47, 0.53) + 0.21 * np.cos(phase),
        "y": rng.uniform(0.48, 0.53) + 0.17 * np.sin(phase),
    }


def _fall(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray | float]:
    return {
        "x": rng.uniform(0.35, 0.65) + 0.03 * np.sin(2 * np.pi * t),
        "y": rng.uniform(0.24, 0.30) + 0.46 * t**2,
        "angle": rng.choice([-1, 1]) * 14 * t,
    }


def _zigzag(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray | float]:
    legs = 3 * t + rng.uniform(0, 1)
    return {
        "x": _travel(t, rng, 0.36),
        "y": rng.uniform(0.50, 0.56) + 0.15 * (2 * np.abs(legs % 2 - 1) - 1),
    }


def _glide(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray | float]:
    return {"x": _travel(t, rng, 0.50), "y": rng.uniform(0.46, 0.62) + rng.uniform(-0.06, 0.06) * t}


_CURVES: dict[str, _Curve] = {
    "gallop": _gallop,
    "bounce": _bounce,
    "flap": _flap,
    "spin": _spin,
    "sway": _sway,
    "grow": _grow,
    "orbit": _orbit,
    "fall": _fall,
    "zigzag": _zigzag,
    "glide": _glide,
}
MOTIONS: tuple[str, ...] = tuple(_CURVES)


def sample_poses(name: str, frames: int, rng: np.random.Generator, facing: int | None = None) -> SpritePoses:
    """Draw the poses of one object that performs the motion `name` over `frames` frames.

    facing: 1 plays the pattern to the right, -1 mirrors it to the left, None draws one of both. Raises KeyError for an
    unknown motion.
    """
    t = np.linspace(0, 1, frames) if frames > 1 else np.zeros(1)
    direction = int(rng.choice([-1, 1])) if facing is None else facing
    curve = {key: np.broadcast_to(np.asarray(value, float), t.shape) for key, value in _CURVES[name](t, rng).items()}
    ones = np.ones_like(t)
    x, angle = curve["x"], curve.get("angle", 0 * ones)
    if direction < 0:
        x, angle = 1 - x, -angle
    return SpritePoses(
        x=x,
        y=curve["y"],
        scale_x=curve.get("scale_x", ones),
        scale_y=curve.get("scale_y", ones),
        angle=angle,
        facing=direction,
    )
