"""Camera paths, and pictures and latents moved along them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvmodel.backends.image_unet.camera import build_camera_path, pan_pictures, to_cells, translate
from mvmodel.errors import InputError


def test_a_path_is_in_pixels_of_width_and_height():
    path = build_camera_path((0.5, 0.25), (3, 40, 80))
    np.testing.assert_allclose(path, [[0, 0], [20, 5], [40, 10]])
    np.testing.assert_allclose(to_cells(path, (3, 40, 80), (4, 5, 10)), [[0, 0], [2.5, 0.625], [5, 1.25]])
    assert build_camera_path(None, (3, 40, 80)) is None
    np.testing.assert_array_equal(build_camera_path(path, (3, 40, 80)), path)
    with pytest.raises(InputError, match=r"shape \(2, 2\); give \(2,\) for the whole video, or \(3, 2\)"):
        build_camera_path(path[:2], (3, 40, 80))


def test_panned_pictures_are_cut_from_a_wider_one():
    wide = np.random.default_rng(0).random((12, 30, 3)).astype(np.float32)
    panned, visible = pan_pictures(wide[:, :20], np.array([[0, 0], [5, 0], [-3, 2]]))
    assert np.array_equal(panned[0], wide[:, :20]) and visible[0].all()
    np.testing.assert_allclose(panned[1][:, :15], wide[:, 5:20], atol=1e-6)
    assert visible[1][:, :15].all() and not visible[1][:, 15:].any()
    np.testing.assert_allclose(panned[2][:10, 3:], wide[2:, :17], atol=1e-6)
    assert visible[2][:10, 3:].all() and not visible[2][10:].any() and not visible[2][:, :3].any()


def test_translation_by_whole_cells_is_exact_and_comes_back():
    planes = torch.randn(2, 3, 6, 9)
    assert translate(planes, torch.zeros(2, 2), (6, 9)) is planes
    moved = translate(planes, torch.tensor([[2.0, 0.0], [0.0, -1.0]]), (6, 9))
    torch.testing.assert_close(moved[0, :, :, :7], planes[0, :, :, 2:], atol=1e-5, rtol=1e-5)
    assert moved[0, :, :, 7:].abs().max() == 0
    torch.testing.assert_close(moved[1, :, 1:], planes[1, :, :-1], atol=1e-5, rtol=1e-5)
    offsets = torch.tensor([[3.0, 1.0], [0.0, 0.0]])
    field = translate(planes, -offsets, (8, 12))
    torch.testing.assert_close(translate(field, offsets, (6, 9)), planes, atol=1e-5, rtol=1e-5)
