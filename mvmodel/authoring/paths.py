"""Paths through the picture and the speed along them: points, SVG paths, easings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.interpolate import CubicSpline
from svg.path import Move, parse_path

from mvmodel.errors import InputError

Easing = Callable[[np.ndarray], np.ndarray]

EASINGS: dict[str, Easing] = {
    "linear": lambda t: t,
    "ease-in": lambda t: t**2,
    "ease-out": lambda t: 1 - (1 - t) ** 2,
    "ease-in-out": lambda t: t**2 * (3 - 2 * t),
    "hold": lambda t: np.floor(t),
}
"""Name -> function from the share of the time to the share of the path, both 0..1; "hold" jumps at the end."""

Speed = str | Sequence[float]
"""An easing's name, or relative speeds at evenly spaced times: (1, 3, 0) accelerates, then comes to a halt."""

_SAMPLES = 512
"""Points at which speeds and curves are sampled."""


def progress(frames: int, speed: Speed = "linear") -> np.ndarray:
    """Share of the path covered at every frame, float (frames,), 0 to 1. Raises InputError for an unknown speed."""
    time = np.linspace(0, 1, frames) if frames > 1 else np.zeros(1)
    if isinstance(speed, str):
        if speed not in EASINGS:
            raise InputError(f"there is no speed named {speed!r}; use {', '.join(EASINGS)}, or a list of numbers")
        return EASINGS[speed](time)
    values = np.asarray(speed, float)
    if values.ndim != 1 or not len(values) or (values < 0).any() or not np.isfinite(values).all() or not values.any():
        raise InputError(f"speeds are numbers of 0 or more, not all 0, and not {list(speed)}")
    fine = np.linspace(0, 1, _SAMPLES)
    rate = np.interp(fine, np.linspace(0, 1, len(values)), values)
    covered = np.concatenate([[0], np.cumsum((rate[1:] + rate[:-1]) / 2)])
    return np.interp(time, fine, covered / covered[-1])


def sample_path(points: np.ndarray, frames: int, speed: Speed = "linear", round_corners: bool = True) -> np.ndarray:
    """Positions at every frame on a path through points: float (frames, 2).

    points: x, y, float (n, 2). speed: along the path; even by default. round_corners: connect three or more points by a
    smooth curve, else by straight lines. Raises InputError for an array of another shape.
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise InputError(f"a path is a list of points [x, y], not an array of shape {points.shape}")
    vertices = points[np.concatenate([[True], np.any(np.diff(points, axis=0) != 0, axis=1)])]
    if len(vertices) == 1:
        return np.repeat(vertices, frames, axis=0)
    if round_corners and len(vertices) > 2:
        # The root of the distance keeps the curve from overshooting between unevenly spaced points.
        knots = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(vertices, axis=0), axis=1) ** 0.5)])
        ends = "periodic" if np.allclose(vertices[0], vertices[-1]) else "natural"
        vertices = CubicSpline(knots, vertices, bc_type=ends)(np.linspace(0, knots[-1], _SAMPLES))
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(vertices, axis=0), axis=1))])
    distance = progress(frames, speed) * length[-1]
    return np.column_stack([np.interp(distance, length, vertices[:, axis]) for axis in (0, 1)])


def points_from_svg(path: str) -> np.ndarray:
    """Sample points on an SVG path's `d` attribute, such as "M 10 90 C 30 10, 70 10, 90 90": float (n, 2).

    Raises InputError if it is no path, or has several pieces.
    """
    try:
        parsed = parse_path(path)
        pieces = [segment for segment in parsed if not isinstance(segment, Move)]
        if not pieces:
            raise ValueError("it draws nothing")
        if sum(isinstance(segment, Move) for segment in parsed) > 1:
            raise ValueError("it has several pieces")
        points = np.array([segment.point(t) for segment in pieces for t in np.linspace(0, 1, 33)])
    except (ValueError, TypeError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise InputError(
            f"the SVG path {path!r} cannot be used ({error}); give one piece, as in M 0 0 L 1 1"
        ) from error
    return np.column_stack([points.real, points.imag])
