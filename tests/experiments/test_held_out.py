from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mvmodel.experiments.held_out import FAMILIES, SHAPES, iterate_held_out, transfer_motion
from mvmodel.masks.geometry import centroids
from mvmodel.metrics.adherence import iou

WORDS = ("horse", "cat", "dog", "owl", "fish", "car", "bus", "apple")


@pytest.fixture
def large(task):
    """The task at 128 pixels, where shapes are round enough to have an area."""
    return replace(task, masks=np.kron(task.masks, np.ones((1, 2, 2), bool)))


def test_four_families_of_six(large):
    items = list(iterate_held_out(large, "glide", ["horse"], WORDS, 6))
    assert [sum(item.family == family for item in items) for family in FAMILIES] == [6, 6, 6, 6]
    assert len({(item.family, item.name) for item in items}) == 24
    assert all(item.task.masks.shape == large.masks.shape for item in items)


def test_shapes_keep_place_and_area_but_not_the_outline(large):
    for item in iterate_held_out(large, "glide", [], WORDS, 6):
        if item.family == "shape":
            assert item.task.masks.sum() == pytest.approx(large.masks.sum(), rel=0.15), item.name
            if item.name in ("triangle", "cross", "ring"):
                apart = np.abs(centroids(item.task.masks) - centroids(large.masks))
                assert apart.max() < 2.5, item.name
            if item.name != "square":
                assert iou(item.task.masks, large.masks).mean() < 0.9, item.name


def test_shapes_are_what_they_are_called():
    grid = np.linspace(-1.2, 1.2, 241)
    x, y = np.meshgrid(grid, grid)
    areas_inside = {name: inside(x, y) for name, inside in SHAPES.items()}
    middle = (120, 120)
    assert not areas_inside["ring"][middle] and areas_inside["cross"][middle]
    assert areas_inside["triangle"].mean() * 2.4**2 == pytest.approx(3 * np.sqrt(3) / 4, rel=0.02)
    assert areas_inside["square"].mean() * 2.4**2 == pytest.approx(1.6**2, rel=0.02)


def test_sizes_scale_about_the_objects_own_centre(large):
    areas = {i.name: i.task.masks.sum() for i in iterate_held_out(large, "glide", [], WORDS, 6) if i.family == "size"}
    assert areas["x0.4"] == pytest.approx(0.16 * large.masks.sum(), rel=0.15)
    assert areas["x1.3"] == pytest.approx(1.69 * large.masks.sum(), rel=0.15)


def test_other_motions_start_from_mask_1_and_do_not_leave_the_picture(large):
    small = replace(large, masks=large.masks & (np.indices(large.masks.shape)[1] < 60))
    for motion in ("spin", "orbit", "fall"):
        transferred = transfer_motion(small, motion)
        assert transferred.any(axis=(1, 2)).all()
        assert transferred[0].sum() == pytest.approx(small.masks[0].sum(), rel=0.1)
        assert iou(transferred, small.masks)[1:].mean() < 0.95
    fallen = centroids(transfer_motion(small, "fall"))
    assert fallen[-1, 1] - fallen[0, 1] > 20


def test_classes_are_words_that_no_clip_shows(large):
    items = [i for i in iterate_held_out(large, "glide", ["cat", "dog"], WORDS, 6) if i.family == "class"]
    assert [item.name for item in items] == ["owl", "fish", "car", "bus", "apple"]
    assert items[0].task.prompt == "an owl gallops"
    assert items[0].task.words == ("owl",)
    assert items[0].task.masks is large.masks
