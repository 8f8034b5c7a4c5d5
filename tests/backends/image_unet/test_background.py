"""The plate is frame 1 where frame 1 shows the background, and one mean elsewhere; also under a moving camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvmodel.backends.image_unet.background import PlateMemory, background_weights, paste_background
from mvmodel.backends.image_unet.guides import build_background_guide
from mvmodel.backends.image_unet.later_frames import FrameLayout

HEIGHT, WIDTH, CELL = 64, 96, 8


def make_layout(camera=None, frames=4) -> FrameLayout:
    """An object on the left in frame 1, in the middle later."""
    masks = torch.zeros(1, frames, HEIGHT, WIDTH)
    masks[:, 0, :, :16] = 1
    masks[:, 1:, :, 48:64] = 1
    return FrameLayout(masks, camera=camera)


def build(mode, layout, first, **options):
    def encode(pictures):  # an "autoencoder" of one channel per colour, area-averaged
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
        return torch.nn.functional.avg_pool2d(pixels, CELL)

    return build_background_guide(mode, first, options.pop("pictures", None), layout, encode, **options)


def test_weights_leave_out_touched_cells_and_fade_over_one():
    masks = torch.zeros(1, 1, HEIGHT, WIDTH)
    masks[..., 20, 33] = 1  # a single pixel in cell (2, 4)
    weights = background_weights(masks, (8, 12))[0, 0, 0]
    assert weights[2, 4] == 0 and weights[2, 3] == pytest.approx(8 / 9) and weights[2, 2] == 1 and weights[0, 4] == 1


def test_where_both_show_background_the_prediction_becomes_frame_1_exactly():
    first, clean = torch.randn(1, 3, 8, 12), torch.randn(1, 3, 3, 8, 12)
    for mode in ("first", "plate"):
        out = build(mode, make_layout(), first)(clean, 0.5)
        torch.testing.assert_close(out[..., 9:], first[:, None, :, :, 9:].expand(-1, 3, -1, -1, -1))
        assert torch.equal(out[:, :, :, :, 6:8], clean[:, :, :, :, 6:8]), "objects are left alone"


def test_what_frame_1_hides_becomes_the_mean_of_the_frames_that_show_it():
    first, clean = torch.randn(1, 3, 8, 12), torch.randn(1, 3, 3, 8, 12)
    hidden = slice(0, 2)
    out = build("plate", make_layout(), first)(clean, 0.5)
    mean = clean[..., hidden].mean(dim=1, keepdim=True).expand(-1, 3, -1, -1, -1)
    torch.testing.assert_close(out[..., hidden], mean)
    left = build("first", make_layout(), first)(clean, 0.5)
    assert torch.equal(left[..., hidden], clean[..., hidden])


def test_a_memory_adds_what_earlier_windows_showed():
    first, clean = torch.randn(1, 3, 8, 12), torch.randn(1, 3, 3, 8, 12)
    guide = build("plate", make_layout(), first)
    memory = guide.remember(clean)
    other = torch.randn(1, 3, 3, 8, 12)
    out = build("plate", make_layout(), first, memory=memory)(other, 0.5)
    torch.testing.assert_close(out[0, 0, :, :, :2], torch.cat([clean, other], dim=1)[0, ..., :2].mean(dim=0))
    context = make_layout(frames=6)
    context.context = 2
    seen = build("plate", context, first, context_latents=torch.ones(1, 2, 3, 8, 12))
    torch.testing.assert_close(seen(torch.zeros(1, 3, 3, 8, 12), 0)[..., :2], torch.full((1, 3, 3, 8, 2), 0.4))


def test_a_panned_plate_is_frame_1_moved_by_the_camera():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (1, HEIGHT, WIDTH, 3), dtype=np.uint8)
    camera = np.array([[0, 0], [8, 0], [16, 0], [24, 0]], float)
    layout = make_layout(camera)
    layout.masks[:, 1:] = 0
    first = torch.nn.functional.avg_pool2d(torch.from_numpy(picture).permute(0, 3, 1, 2).float(), CELL)
    clean = torch.randn(1, 3, 3, 8, 12)
    out = build("first", layout, first, pictures=lambda: picture)(clean, 0)
    for index, cells in enumerate((1, 2, 3)):
        still = slice(3 - min(cells, 3) + 1, 12 - cells - 1)  # neither frame 1's object nor what the camera reveals
        expected = first[0, :, :, still.start + cells : still.stop + cells]
        torch.testing.assert_close(out[0, index, :, :, still], expected, atol=1e-3, rtol=1e-3)
        assert torch.equal(out[0, index, :, :, 12 - cells :], clean[0, index, :, :, 12 - cells :])
    plate = build("plate", layout, first, pictures=lambda: picture)(clean, 0)
    # cell 12 of the scene is revealed in all three frames, at columns 11, 10 and 9
    revealed = torch.stack([plate[0, index, :, :, 11 - index] for index in range(3)])
    torch.testing.assert_close(revealed, revealed.mean(dim=0, keepdim=True).expand_as(revealed), atol=1e-4, rtol=1e-4)


def test_the_memory_covers_the_whole_path():
    memory = PlateMemory.for_path(torch.zeros(1, 4, 8, 12), np.array([[0, 0], [-2.5, 1.0], [3.0, 0]]))
    assert memory.sums.shape == (1, 4, 9, 18) and memory.origin == (2.5, 0.0)


def test_paste_is_exact_away_from_objects_and_soft_at_their_border():
    rng = np.random.default_rng(0)
    first, frames = rng.random((HEIGHT, WIDTH, 3), np.float32), rng.random((2, HEIGHT, WIDTH, 3), np.float32)
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[:, 20:40, 60:80] = True
    first_mask = np.zeros((HEIGHT, WIDTH), bool)
    first_mask[20:40, 10:30] = True
    out = paste_background(frames, first, masks, first_mask)
    for touched in (masks[0], first_mask):
        assert np.array_equal(out[:, touched], frames[:, touched])
    assert np.allclose(out[:, :, 44:48], first[:, 44:48], atol=1e-4)
    panned = paste_background(frames, first, masks, first_mask, np.array([[10, 0], [10, 0]]))
    assert np.allclose(panned[:, :, 34:38], first[:, 44:48], atol=1e-4)
    assert np.array_equal(panned[:, :, -10:], frames[:, :, -10:]), "what the camera reveals is left alone"
