"""Attributes of motions whose attributes are known, and what they do not depend on."""

import cv2
import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.motion.attributes import ATTRIBUTES, compute_motion_attributes
from mvmodel.motion.trajectory import estimate_camera_trajectory
from mvmodel.world.render import HELD_OUT, random_clip

SIDE, SIZE = 96, 16


def _sequence(x: np.ndarray, y: np.ndarray, fps: float = 8.0) -> MaskSequence:
    """A square of SIZE pixels at centres x (right) and y (up), in object sizes from the middle."""
    masks = np.zeros((len(x), SIDE, SIDE), bool)
    for frame, (right, up) in enumerate(zip(x, y, strict=True)):
        left, top = round(SIDE / 2 + right * SIZE - SIZE / 2), round(SIDE / 2 - up * SIZE - SIZE / 2)
        masks[frame, top : top + SIZE, left : left + SIZE] = True
    return MaskSequence(masks, fps)


def _straight(degrees: float, fps: float = 8.0) -> MaskSequence:
    trajectory = np.linspace(-1, 1, 9)
    return _sequence(trajectory * np.cos(np.radians(degrees)), trajectory * np.sin(np.radians(degrees)), fps)


def _hops(cycles: float, frames: int, fps: float) -> MaskSequence:
    time = np.arange(frames) / frames
    return _sequence(2 * time - 1, 0.5 * np.sin(2 * np.pi * cycles * time), fps)


@pytest.mark.parametrize("degrees", [0, 45, 90, 180, -90])
def test_direction(degrees: float) -> None:
    attributes = compute_motion_attributes(_straight(degrees))
    assert np.cos(np.radians(attributes["direction"] - degrees)) > 0.999
    assert attributes["rightward"] == pytest.approx(2 * np.cos(np.radians(degrees)), abs=0.07)
    assert attributes["upward"] == pytest.approx(2 * np.sin(np.radians(degrees)), abs=0.07)
    assert attributes["curvature"] < 0.6
    assert attributes["unsteadiness"] < 0.3


def test_speed_is_a_second_whatever_the_frame_rate() -> None:
    assert compute_motion_attributes(_straight(0))["speed"] == pytest.approx(2.0, rel=0.05)  # two sizes in one second
    assert compute_motion_attributes(_straight(0, fps=16.0))["speed"] == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize(("frames", "fps"), [(24, 12.0), (48, 24.0)])
def test_frequency_and_amplitude_do_not_depend_on_the_frame_rate(frames: int, fps: float) -> None:
    attributes = compute_motion_attributes(_hops(3, frames, fps))  # three hops in two seconds
    assert attributes["frequency"] == pytest.approx(1.5, abs=0.1)
    assert attributes["amplitude"] == pytest.approx(0.5, abs=0.06)


def test_what_does_not_repeat_has_no_frequency() -> None:
    attributes = compute_motion_attributes(_straight(30))
    assert attributes["frequency"] == 0 and attributes["amplitude"] == 0


def test_a_circle_turns_by_one_over_its_radius() -> None:
    phase = np.linspace(0, 2 * np.pi, 25)
    attributes = compute_motion_attributes(_sequence(1.5 * np.cos(phase), 1.5 * np.sin(phase)))
    assert attributes["curvature"] == pytest.approx(1 / 1.5, rel=0.25)
    assert attributes["direction"] == 0  # it ends where it began


def test_an_uneven_pace_is_unsteady() -> None:
    stop_and_go = np.array([-1, -1, -0.4, -0.4, 0.2, 0.2, 0.8, 0.8])
    assert compute_motion_attributes(_sequence(stop_and_go, 0 * stop_and_go))["unsteadiness"] > 0.8


def test_mirroring_turns_the_direction_and_nothing_else() -> None:
    masks = random_clip((HELD_OUT, 3, 5), 12, motion="gallop", pan=0.0).masks
    original, mirrored = (
        compute_motion_attributes(MaskSequence(masks)),
        compute_motion_attributes(MaskSequence(masks[:, :, ::-1])),
    )
    assert mirrored["rightward"] == pytest.approx(-original["rightward"], abs=1e-6)
    assert mirrored["upward"] == pytest.approx(original["upward"], abs=1e-6)
    assert np.cos(np.radians(mirrored["direction"])) == pytest.approx(
        -np.cos(np.radians(original["direction"])), abs=1e-6
    )
    for name in ("curvature", "speed", "unsteadiness", "frequency", "amplitude"):
        assert mirrored[name] == pytest.approx(original[name], rel=0.02, abs=0.02), name


def test_place_and_resolution_change_little() -> None:
    masks = random_clip((HELD_OUT, 4, 5), 12, motion="bounce", pan=0.0).masks
    larger = np.stack([cv2.resize(m.astype(np.uint8), (256, 256), interpolation=cv2.INTER_NEAREST) > 0 for m in masks])
    shifted = np.pad(masks, ((0, 0), (5, 40), (40, 5)))
    for changed in (larger, shifted):
        for name, value in compute_motion_attributes(MaskSequence(masks)).items():
            assert compute_motion_attributes(MaskSequence(changed))[name] == pytest.approx(value, rel=0.1, abs=0.1), (
                name
            )


@pytest.mark.parametrize("pan", [-0.4, 0.0, 0.4])
def test_the_camera_is_followed(pan: float) -> None:
    trajectories = []
    for seed in range(4):
        clip = random_clip((HELD_OUT, seed, 6), 12, motion="bounce", background="forest", pan=pan)
        trajectories.append(estimate_camera_trajectory(clip.frames, masks=clip.masks))
    x, y = np.median(trajectories, axis=0).T
    assert x == pytest.approx(np.linspace(0, pan, 12), abs=0.1)
    assert y == pytest.approx(np.zeros(12), abs=0.05)


def test_what_the_camera_follows_does_not_stand_still() -> None:
    zeros = np.zeros(9)
    trajectory = np.column_stack([np.linspace(0, 0.5, 9), np.linspace(0, 0.25, 9)])  # half a width right, a quarter up
    attributes = compute_motion_attributes(_sequence(zeros, zeros), trajectory)
    across = SIDE / SIZE
    assert (attributes["rightward"], attributes["upward"]) == pytest.approx((across / 2, across / 4))
    assert attributes["direction"] == pytest.approx(np.degrees(np.arctan2(1, 2)))
    assert attributes["speed"] == pytest.approx(across * np.hypot(0.5, 0.25))
    assert attributes["unsteadiness"] == pytest.approx(0, abs=1e-6) and attributes["curvature"] == pytest.approx(
        0, abs=1e-6
    )


def test_a_restless_camera_moves_nothing() -> None:
    shake = np.column_stack([0.125 * np.sin(np.arange(16)), 0.0625 * np.cos(np.arange(16))])
    across = SIDE / SIZE
    attributes = compute_motion_attributes(
        _sequence(-across * shake[:, 0], -across * shake[:, 1]), shake
    )  # stands zeros in the world
    assert (
        attributes["speed"]
        < 0.5
        < compute_motion_attributes(_sequence(-across * shake[:, 0], -across * shake[:, 1]))["speed"]
    )
    assert attributes["rightward"] == pytest.approx(0, abs=0.1)
    assert attributes["frequency"] == 0


@pytest.mark.parametrize("pan", [-0.4, 0.4])
@pytest.mark.parametrize("facing", [-1, 1])
def test_the_trajectory_is_that_in_the_world(facing: int, pan: float) -> None:
    """A rendered glide crosses half of the picture, while the camera travels with it or against it."""
    errors = []
    for seed in range(4):
        clip = random_clip((HELD_OUT, seed, 8), 12, motion="glide", background="forest", pan=pan, facing=facing)
        masks = MaskSequence(clip.masks)
        size = np.sqrt(masks.masks.sum(axis=(1, 2)).mean()) / masks.width
        attributes = compute_motion_attributes(masks, estimate_camera_trajectory(clip.frames, masks=clip.masks))
        errors.append(attributes["rightward"] * size - (0.5 * facing + pan))
    print(f"facing {facing}, pan {pan}: off by {np.round(errors, 3)} frame widths")
    assert np.median(np.abs(errors)) < 0.08


def test_the_camera_trajectory_must_have_as_many_frames_as_the_masks() -> None:
    with pytest.raises(InputError, match="for 6 masks it must be"):
        compute_motion_attributes(MaskSequence(np.zeros((6, 16, 16), bool)), np.zeros((5, 2)))


def test_without_a_foreground_only_the_camera_is_not_zero() -> None:
    trajectory = np.linspace((0, 0), (0.2, -0.1), 6)
    attributes = compute_motion_attributes(MaskSequence(np.zeros((6, 16, 16), bool)), trajectory)
    assert attributes == {**dict.fromkeys(ATTRIBUTES, 0.0), "camera_right": 0.2, "camera_up": -0.1}
