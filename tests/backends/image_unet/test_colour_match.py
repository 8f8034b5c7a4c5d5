"""Pulling the background's latents back to frame 1's."""

from __future__ import annotations

import pytest
import torch

from mvmodel.backends.image_unet.colour_match import match_background


@pytest.fixture
def drifted():
    """Frame 1, three frames that are brighter and flatter, and masks that cover the left half."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(1, 4, 8, 8, generator=generator)
    later = torch.randn(1, 3, 4, 8, 8, generator=generator) * 0.5 + 2
    masks = torch.zeros(4, 64, 64)
    masks[:, :, :32] = 1
    return first, later, masks


def test_the_background_gets_frame_ones_mean_and_spread(drifted):
    first, later, masks = drifted
    out = match_background(later, first, masks[1:], masks[0], 1.0)
    target, background = first[0, :, :, 4:], out[0, :, :, :, 4:]
    torch.testing.assert_close(background.mean(dim=(2, 3)), target.mean(dim=(1, 2)).expand(3, -1), atol=1e-4, rtol=1e-4)
    spread = background.flatten(2).std(dim=2, correction=0)
    torch.testing.assert_close(spread, target.flatten(1).std(dim=1, correction=0).expand(3, -1), atol=1e-4, rtol=1e-4)


def test_the_object_counts_for_nothing_in_it(drifted):
    first, later, masks = drifted
    out = match_background(later, first, masks[1:], masks[0], 1.0)
    spoiled_first, spoiled = first.clone(), later.clone()
    spoiled_first[..., :4] += 50
    spoiled[..., :4] -= 50
    spoiled_background = match_background(spoiled, spoiled_first, masks[1:], masks[0], 1.0)
    torch.testing.assert_close(spoiled_background[..., 4:], out[..., 4:], atol=1e-4, rtol=1e-4)


def test_a_share_goes_part_of_the_way_and_none_changes_nothing(drifted):
    first, later, masks = drifted
    assert torch.equal(match_background(later, first, masks[1:], masks[0], 0.0), later)
    half, matched = (match_background(later, first, masks[1:], masks[0], share) for share in (0.5, 1.0))
    torch.testing.assert_close(half, (later + matched) / 2, atol=1e-5, rtol=1e-5)


def test_what_has_no_background_is_left_as_it_is(drifted):
    first, later, masks = drifted
    masks[2] = 1
    out = match_background(later, first, masks[1:], masks[0], 1.0)
    assert torch.equal(out[0, 1], later[0, 1]) and not torch.equal(out[0, 0], later[0, 0])
    assert torch.equal(match_background(later, first, masks[1:], torch.ones(64, 64), 1.0), later)
