"""Common noise keeps its variance, stays white in every frame, and moves with the objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvmodel.backends.image_unet.noise_prior import FollowingNoise, compute_cell_shifts, cover_cells, mix_noise

HEIGHT, WIDTH = 32, 48


def draw(shape):
    return torch.randn(1, *shape)


def moving_square(frames=4, start=(64, 64), step=(8, 16), size=64) -> np.ndarray:
    masks = np.zeros((frames, 8 * HEIGHT, 8 * WIDTH), bool)
    for index in range(frames):
        top, left = start[0] + index * step[0], start[1] + index * step[1]
        masks[index, top : top + size, left : left + size] = True
    return masks


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(np.corrcoef(a.flatten(), b.flatten())[0, 1])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 1.0])
def test_mixed_noise_has_unit_variance_and_its_share_in_common(share):
    torch.manual_seed(0)
    noise = mix_noise(torch.randn(1, 4, 4, 64, 64), torch.randn(1, 1, 4, 64, 64), share)
    assert noise.std().item() == pytest.approx(1, abs=0.02)
    assert correlation(noise[0, 0], noise[0, 3]) == pytest.approx(share, abs=0.03)


def test_following_noise_is_carried_by_the_masks_and_white():
    torch.manual_seed(0)
    masks = moving_square()
    first = torch.randn(1, 8, HEIGHT, WIDTH)
    noise = FollowingNoise(first, draw, [masks]).frames(range(4))[0]
    covered = cover_cells(masks, HEIGHT, WIDTH)
    assert compute_cell_shifts(masks, HEIGHT, WIDTH).tolist() == [[0, 0], [1, 2], [2, 4], [3, 6]]
    for index in range(4):
        inside = noise[index][:, covered[index]]
        assert torch.equal(inside, noise[0][:, covered[0]]), "the object's noise has moved with it"
        outside = ~covered[index]
        assert torch.equal(noise[index][:, outside], first[0][:, outside]), "the rest is the background's, in its place"
        assert noise[index].std().item() == pytest.approx(1, abs=0.03)
        assert abs(correlation(noise[index][:, :, 1:], noise[index][:, :, :-1])) < 0.03, "neighbours are independent"
    assert abs(correlation(noise[0][:, covered[0]], noise[3][:, covered[0] & ~covered[3]][:, :1].expand(8, 64))) < 0.9
    stayed = noise[3][:, covered[0] & ~covered[3]]
    assert abs(correlation(stayed, noise[0][:, covered[0] & ~covered[3]])) < 0.15, "nothing stays behind"


def test_two_objects_have_noise_of_their_own_and_the_later_is_in_front():
    torch.manual_seed(0)
    one, two = moving_square(step=(0, 0)), moving_square(start=(64, 160), step=(0, -32))
    noise = FollowingNoise(torch.randn(1, 8, HEIGHT, WIDTH), draw, [one, two]).frames(range(4))[0]
    covered = cover_cells(two, HEIGHT, WIDTH)
    assert torch.equal(noise[3][:, covered[3]], noise[0][:, covered[0]])
    first = cover_cells(one, HEIGHT, WIDTH)[0]
    assert abs(correlation(noise[0][:, first], noise[0][:, covered[0]])) < 0.15


def test_the_camera_moves_the_background_and_reveals_new_noise():
    torch.manual_seed(0)
    masks = moving_square(step=(0, 0))
    camera = np.array([[0, 0], [16, 0], [32, 8], [-16, 0]], float)
    first = torch.randn(1, 8, HEIGHT, WIDTH)
    noise = FollowingNoise(first, draw, [masks], camera).frames(range(4))[0]
    assert torch.equal(noise[1][:, :, 20:-2], first[0, :, :, 22:])
    assert torch.equal(noise[2][:, 20:-1, :-4], first[0, :, 21:, 4:])
    assert torch.equal(noise[3][:, 20:, 2:], first[0, :, 20:, :-2])
    assert all(frame.std().item() == pytest.approx(1, abs=0.03) for frame in noise)


def test_frames_without_the_object_keep_its_last_place():
    masks = moving_square(step=(0, 8))
    masks[2] = False
    assert compute_cell_shifts(masks, HEIGHT, WIDTH).tolist() == [[0, 0], [0, 1], [0, 1], [0, 3]]
    masks[:2] = False
    assert compute_cell_shifts(masks, HEIGHT, WIDTH).tolist() == [[0, 0]] * 4
