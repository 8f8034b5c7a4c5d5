"""Boxes, centroids, moments and overlaps of masks."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.masks import geometry


@pytest.fixture
def mask() -> np.ndarray:
    """Two rectangles, the second one larger."""
    mask = np.zeros((20, 30), bool)
    mask[2:5, 3:5] = True
    mask[8:19, 10:21] = True
    return mask


def test_boxes_and_points(mask: np.ndarray) -> None:
    assert geometry.bounding_box(mask) == (3, 2, 21, 19)
    assert geometry.crop_to_mask(mask).shape == (17, 18)
    assert geometry.innermost_point(mask).tolist() == [15, 13]
    assert geometry.area_fraction(mask) == pytest.approx(mask.mean())


def test_centroids_are_mean_coordinates(mask: np.ndarray) -> None:
    rows, columns = np.nonzero(mask)
    assert geometry.centroid(mask) == (columns.mean(), rows.mean())
    empty = np.zeros_like(mask)
    both = geometry.centroids(np.stack([mask, empty]))
    assert both[0].tolist() == [columns.mean(), rows.mean()] and np.isnan(both[1]).all()


def test_second_moments_of_a_rectangle() -> None:
    mask = np.zeros((40, 40), bool)
    mask[4:10, 5:17] = True
    assert geometry.second_moments(mask) == pytest.approx((12**2 / 12, 6**2 / 12, 0))


def test_overlap_of_masks_and_of_empty_ones(mask: np.ndarray) -> None:
    empty = np.zeros_like(mask)
    half = mask.copy()
    half[:, 15:] = False
    iou = half.sum() / mask.sum()
    assert geometry.mask_iou(mask, half) == pytest.approx(iou)
    assert geometry.mask_iou(empty, empty) == 1 and geometry.mask_iou(empty, empty, both_empty=0.0) == 0
    per_frame = geometry.iou_per_frame(np.stack([mask, empty, mask]), np.stack([half, empty, empty]))
    assert per_frame.tolist() == pytest.approx([iou, 1, 0])


def test_rotation_is_counter_clockwise_as_displayed() -> None:
    assert geometry.rotation_matrix(90.0) @ [1, 0] == pytest.approx([0, -1]), "right becomes up, which is -y"
    angles = np.array([0.0, 30.0, 200.0])
    assert np.array_equal(geometry.rotation_matrix(angles), [geometry.rotation_matrix(angle) for angle in angles])
