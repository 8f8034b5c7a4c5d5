"""Rotations are measured of every shape that is not round, whatever its elongation."""

import cv2
import numpy as np
import pytest

from mvmodel.motion.rotation import measure_rotation


def _shape(kind: str) -> np.ndarray:
    picture = np.zeros((96, 96), np.uint8)
    if kind == "square":
        picture[30:66, 30:66] = 1
    elif kind == "bar":
        picture[40:56, 20:76] = 1
    elif kind == "letter":  # an L: as wide as high
        picture[20:70, 20:38] = picture[52:70, 20:70] = 1
    else:
        cv2.circle(picture, (48, 48), 22, 1, -1)
    return picture


def _turning(kind: str, degrees: np.ndarray) -> list[np.ndarray]:
    shape = _shape(kind).astype(np.float32)
    matrices = [cv2.getRotationMatrix2D((48, 48), float(angle), 1.0) for angle in degrees]
    return [cv2.warpAffine(shape, matrix, (96, 96)) > 0.5 for matrix in matrices]


@pytest.mark.parametrize("kind", ["square", "bar", "letter"])
@pytest.mark.parametrize("frames", [13, 25])
@pytest.mark.parametrize("total", [360.0, -360.0, 90.0])
def test_full_turns_add_up(kind: str, frames: int, total: float) -> None:
    angles, shows = measure_rotation(_turning(kind, np.linspace(0, total, frames)))
    assert angles == pytest.approx(np.linspace(0, total, frames), abs=4)
    assert shows > 0.3


def test_round_shapes_show_no_angle() -> None:
    assert measure_rotation(_turning("disc", np.linspace(0, 360, 13)))[1] == 0


def test_a_squash_looks_like_a_small_rotation_at_most_and_is_undone() -> None:
    shape = _shape("letter").astype(np.float32)
    masks = []
    for factor in (1.0, 0.8, 0.6, 0.8, 1.0):
        matrix = np.array([[2 - factor, 0, 48 * (factor - 1)], [0, factor, 48 * (1 - factor)]])
        masks.append(cv2.warpAffine(shape, matrix, (96, 96)) > 0.5)
    angles, _ = measure_rotation(masks)
    assert np.abs(angles).max() < 15
    assert angles[-1] == pytest.approx(0, abs=1)
