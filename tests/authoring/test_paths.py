"""Paths, speeds and physics against their known properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvmodel.authoring.paths import EASINGS, points_from_svg, progress, sample_path
from mvmodel.authoring.physics import simulate_bounce, simulate_fall, simulate_pendulum, simulate_roll
from mvmodel.errors import InputError


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(2, 40), st.sampled_from(sorted(EASINGS)) | st.lists(st.floats(0.1, 5), min_size=1, max_size=5))
def test_progress_rises_from_0_to_1(frames, speed) -> None:
    covered = progress(frames, speed)
    assert covered[0] == pytest.approx(0) and covered[-1] == pytest.approx(1)
    assert (np.diff(covered) >= -1e-9).all()


def test_an_even_pace_is_even_whatever_the_points() -> None:
    points = np.array([[0, 0], [1, 0], [1, 0], [10, 0], [10, 5]], float)
    straight = sample_path(points, 31, round_corners=False)
    assert np.linalg.norm(np.diff(straight, axis=0), axis=1) == pytest.approx(0.5, abs=1e-9)
    curve = sample_path(points, 200)
    steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.15
    assert curve[0] == pytest.approx([0, 0]) and curve[-1] == pytest.approx([10, 5])
    halves = sample_path(points, 31, (1, 1, 3, 3), round_corners=False)
    assert np.linalg.norm(halves[15] - halves[0]) < 0.5 * np.linalg.norm(straight[15] - straight[0]) + 1


def test_svg_paths_go_where_they_say() -> None:
    points = points_from_svg("M 10 90 C 30 10 70 10 90 90")
    assert points[0] == pytest.approx([10, 90]) and points[-1] == pytest.approx([90, 90])
    assert points[:, 1].min() == pytest.approx(30, abs=0.5), "a Bezier curve reaches three quarters of its handles"
    ring = points_from_svg("M 0 5 A 5 5 0 1 1 0 4.999")
    assert np.linalg.norm(ring - ring.mean(axis=0), axis=1) == pytest.approx(5, abs=0.4)
    for path in ("", "M 0 0", "L", "M 0 0 L 1 1 M 5 5 L 6 6", "hello"):
        with pytest.raises(InputError, match="SVG path"):
            points_from_svg(path)


def test_a_dropped_ball_bounces_to_restitution_squared() -> None:
    _, y = simulate_bounce(400, 100.0, (0.5, 0.25), floor=0.85, gravity=2.0, restitution=0.8)
    assert y[0] == 0.25 and y.max() == pytest.approx(0.85, abs=2e-3)
    first = int(np.argmax(y > 0.83))
    assert first / 100 == pytest.approx(np.sqrt(2 * 0.6 / 2.0), abs=0.025), "h = g t^2 / 2"
    second = first + 5 + int(np.argmax(y[first + 5 :] > 0.83))
    assert 0.85 - y[first:second].min() == pytest.approx(0.6 * 0.8**2, rel=0.03)
    x, y = simulate_fall(60, 20.0, (0.5, 0.2), floor=0.8)
    assert (np.diff(y) >= -1e-9).all() and y[-1] == pytest.approx(0.8) and np.ptp(x) == 0


def test_energy_of_a_pendulum_and_rotation_of_a_wheel() -> None:
    x, y, angle = simulate_pendulum(300, 100.0, (0.5, 0.1), 0.5, degrees=60, gravity=2.0)
    assert np.hypot(x - 0.5, y - 0.1) == pytest.approx(0.5)
    assert angle.max() == pytest.approx(60, abs=0.1) and angle.min() == pytest.approx(-60, abs=0.3)
    x, _, angle = simulate_roll(50, 10.0, (0.1, 0.8), 0.3, radius=0.1)
    assert angle[-1] == pytest.approx(-np.rad2deg((x[-1] - 0.1) / 0.1)), "to the right it turns clockwise"
    x, _, _ = simulate_roll(50, 10.0, (0.1, 0.8), 0.3, radius=0.1, friction=0.3)
    assert x[-1] == pytest.approx(0.1 + 0.3**2 / (2 * 0.3)), "v^2 / 2a"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: progress(5, "warp"), "no speed named"),
        (lambda: progress(5, [0, 0]), "not all 0"),
        (lambda: sample_path(np.zeros((0, 2)), 4), "list of points"),
        (lambda: simulate_bounce(5, 8, (0.5, 0.9), floor=0.5), "below the floor"),
        (lambda: simulate_bounce(5, 8, (0.5, 0.1), restitution=2), "restitution"),
        (lambda: simulate_roll(5, 8, (0, 0), 1, radius=0), "radius"),
        (lambda: simulate_pendulum(5, 8, (0, 0), 0), "length"),
        (lambda: simulate_fall(0, 8, (0, 0)), "frames"),
    ],
)
def test_mistakes_are_named(call, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
