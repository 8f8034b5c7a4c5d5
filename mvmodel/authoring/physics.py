"""Simple physics: how a heavy object falls, bounces, rolls and swings.

Lengths are in picture heights, with the origin at the top left and y down; times in seconds; gravity in heights per
second squared. Each function returns x, y and, if the object rotates, its angle in degrees (counter-clockwise), float
(frames,) each.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from mvmodel.errors import InputError

GRAVITY = 2.0
"""Heights per second squared: an object falls through the picture in one second."""


def _times(frames: int, fps: float) -> np.ndarray:
    if frames < 1 or fps <= 0:
        raise InputError(f"a motion needs at least one frame and a positive frame rate, not {frames} frames at {fps:g}")
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
    """Simulate a thrown or dropped object that bounces off the floor, exactly: parabolas between impacts.

    restitution: speed after an impact divided by the speed before it; 0 falls and stays. floor: y of the object's
    centre when it touches the floor. Its horizontal speed is constant until it stops bouncing, and then 0.
    """
    if gravity <= 0 or not 0 <= restitution <= 1:
        raise InputError(f"gravity is above 0 and restitution 0 to 1, not {gravity:g} and {restitution:g}")
    if start[1] > floor:
        raise InputError(f"the start {start[1]:g} is below the floor {floor:g}; y counts downwards")
    times = _times(frames, fps)
    y = np.full(frames, floor)
    impact_time, height, speed = 0.0, start[1], velocity[1]
    stop_time = np.inf
    for _ in range(1000):
        # Solve height + speed t + gravity t^2 / 2 = floor for the next impact.
        flight = (-speed + np.sqrt(max(0.0, speed**2 + 2 * gravity * (floor - height)))) / gravity
        in_flight = (times >= impact_time) & (times < impact_time + flight)
        t = times[in_flight] - impact_time
        y[in_flight] = height + speed * t + gravity * t**2 / 2
        impact_speed = speed + gravity * flight
        impact_time, height, speed = impact_time + flight, floor, -restitution * impact_speed
        if impact_time > times[-1]:
            break
        if -speed < 0.02 * np.sqrt(gravity):
            stop_time = impact_time
            break
    return start[0] + velocity[0] * np.minimum(times, stop_time), y


def simulate_fall(
    frames: int, fps: float, start: tuple[float, float], floor: float = 0.85, gravity: float = GRAVITY
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate an object that falls to the floor and stays there."""
    return simulate_bounce(frames, fps, start, (0.0, 0.0), floor, gravity, 0.0)


def simulate_roll(
    frames: int, fps: float, start: tuple[float, float], velocity: float, radius: float, friction: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate an object that rolls along the floor without slipping: one circumference is one turn.

    velocity: heights per second, negative to the left. friction: deceleration in heights per second squared. Returns x,
    y, angle.
    """
    if radius <= 0 or friction < 0:
        raise InputError(f"radius is above 0 and friction 0 or more, not {radius:g} and {friction:g}")
    times = _times(frames, fps)
    moving_time = np.minimum(times, abs(velocity) / friction) if friction else times
    distance = np.sign(velocity) * (abs(velocity) * moving_time - friction * moving_time**2 / 2)
    return start[0] + distance, np.full(frames, start[1]), -np.rad2deg(distance / radius)


def simulate_pendulum(
    frames: int,
    fps: float,
    pivot: tuple[float, float],
    length: float,
    degrees: float = 40.0,
    gravity: float = GRAVITY,
    damping: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate a pendulum released `degrees` to the right of straight down, also for large angles.

    damping: share of the angular speed that is lost per second. Returns x, y, angle.
    """
    if length <= 0 or gravity <= 0 or not -180 < degrees < 180:
        raise InputError(
            f"length and gravity are above 0, degrees between -180 and 180, not {length, gravity, degrees}"
        )
    times = _times(frames, fps)
    solution = solve_ivp(
        lambda _, state: (state[1], -gravity / length * np.sin(state[0]) - damping * state[1]),
        (0, max(float(times[-1]), 1e-6)),
        (np.deg2rad(degrees), 0.0),
        t_eval=times,
        rtol=1e-8,
        atol=1e-8,
    )
    angle = solution.y[0]
    return pivot[0] + length * np.sin(angle), pivot[1] + length * np.cos(angle), np.rad2deg(angle)
