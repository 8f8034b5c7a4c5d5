"""Simple physics for a thing with a weight: fall, bounce, roll, swing.

Lengths are in picture heights, with the origin at the top left and y down; times in seconds; gravity in heights per
second squared. Each function gives x, y and, where it turns, an angle in degrees (counter-clockwise), float (frames,).
"""

from __future__ import annotations

import numpy as np

from mvmodel.errors import InputError

GRAVITY = 2.0
"""Heights per second squared: a thing falls through a picture in one second."""


def _times(frames: int, fps: float) -> np.ndarray:
    if frames < 1 or fps <= 0:
        raise InputError(f"a motion needs frames and a rate above 0, not {frames} at {fps:g} a second")
    return np.arange(frames) / fps


def simulate_bounce(
    frames: int,
    fps: float,
    start: tuple[float, float],
    velocity: tuple[float, float] = (0.0, 0.0),
    floor: float = 0.85,
    gravity: float = GRAVITY,
    restitution: float = 0.7,
) -> tuple[np.ndarray, np.ndarray]:
    """A thrown or dropped thing that springs off the floor, exactly: parabolas between impacts.

    restitution: speed after an impact over the speed before it; 0 falls and stays. floor: y of the thing's centre when
    it touches. Sideways speed is kept while it springs and lost when it lies.
    """
    if gravity <= 0 or not 0 <= restitution <= 1:
        raise InputError(f"gravity is above 0 and restitution 0 to 1, not {gravity:g} and {restitution:g}")
    if start[1] > floor:
        raise InputError(f"the start {start[1]:g} lies below the floor {floor:g}; y counts downwards")
    times = _times(frames, fps)
    y = np.full(frames, floor)
    began, height, speed = 0.0, start[1], velocity[1]
    rest = np.inf
    for _ in range(1000):
        # Solve height + speed t + gravity t^2 / 2 = floor for the next impact.
        flight = (-speed + np.sqrt(max(0.0, speed**2 + 2 * gravity * (floor - height)))) / gravity
        own = (times >= began) & (times < began + flight)
        t = times[own] - began
        y[own] = height + speed * t + gravity * t**2 / 2
        impact = speed + gravity * flight
        began, height, speed = began + flight, floor, -restitution * impact
        if began > times[-1]:
            break
        if -speed < 0.02 * np.sqrt(gravity):
            rest = began
            break
    return start[0] + velocity[0] * np.minimum(times, rest), y


def simulate_fall(
    frames: int, fps: float, start: tuple[float, float], floor: float = 0.85, gravity: float = GRAVITY
) -> tuple[np.ndarray, np.ndarray]:
    """Fall to the floor and stay there."""
    return simulate_bounce(frames, fps, start, (0.0, 0.0), floor, gravity, 0.0)


def simulate_roll(
    frames: int, fps: float, start: tuple[float, float], velocity: float, radius: float, friction: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roll along the floor without slipping: a way of one circumference is one turn, clockwise to the right.

    velocity: heights per second, negative to the left. friction: how much of it is lost a second, heights per second
    squared. Returns x, y, angle.
    """
    if radius <= 0 or friction < 0:
        raise InputError(f"radius is above 0 and friction 0 or more, not {radius:g} and {friction:g}")
    times = _times(frames, fps)
    moving = np.minimum(times, abs(velocity) / friction) if friction else times
    way = np.sign(velocity) * (abs(velocity) * moving - friction * moving**2 / 2)
    return start[0] + way, np.full(frames, start[1]), -np.rad2deg(way / radius)


def simulate_pendulum(
    frames: int,
    fps: float,
    pivot: tuple[float, float],
    length: float,
    degrees: float = 40.0,
    gravity: float = GRAVITY,
    damping: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A pendulum let go `degrees` to the right of straight down; large angles too. Returns x, y, angle.

    damping: share of the angular speed that is lost a second.
    """
    from scipy.integrate import solve_ivp

    if length <= 0 or gravity <= 0 or not -180 < degrees < 180:
        raise InputError(
            f"length and gravity are above 0, degrees between -180 and 180, not {length, gravity, degrees}"
        )
    times = _times(frames, fps)
    solved = solve_ivp(
        lambda _, state: (state[1], -gravity / length * np.sin(state[0]) - damping * state[1]),
        (0, max(float(times[-1]), 1e-6)),
        (np.deg2rad(degrees), 0.0),
        t_eval=times,
        rtol=1e-8,
        atol=1e-8,
    )
    turn = solved.y[0]
    return pivot[0] + length * np.sin(turn), pivot[1] + length * np.cos(turn), np.rad2deg(turn)
