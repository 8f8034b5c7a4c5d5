"""Temporal attention and mask pyramid, alone."""

from __future__ import annotations

import pytest
import torch

from mvmodel.model.context import FrameContext
from mvmodel.model.mask_pyramid import MaskPyramid
from mvmodel.model.temporal_attention import TemporalAttention, frame_positions


def test_positions_go_beyond_any_trained_length_and_stay_distinct():
    codes = frame_positions(0, 400, 16, torch.zeros(1))
    distances = torch.cdist(codes, codes) + torch.eye(400) * 9
    assert distances.min() > 1e-2
    torch.testing.assert_close(frame_positions(7, 3, 16, torch.zeros(1)), codes[7:10])


def test_fresh_block_is_the_identity_and_a_trained_one_mixes_frames():
    torch.manual_seed(0)
    block = TemporalAttention(8, 8, 2)
    hidden = torch.randn(2 * 4, 8, 3, 3)
    assert torch.equal(block(hidden, FrameContext(4), "x"), hidden)
    torch.nn.init.normal_(block.to_out.weight)
    out = block(hidden, FrameContext(4), "x").unflatten(0, (2, 4))
    perturbed = hidden.clone().unflatten(0, (2, 4))
    perturbed[:, 2] += torch.randn(8, 3, 3)  # a constant over the channels would be taken out by the layer norm
    changed = block(perturbed.flatten(0, 1), FrameContext(4), "x").unflatten(0, (2, 4))
    assert torch.equal(out[:, 0], changed[:, 0])
    assert not torch.allclose(out[:, 3], changed[:, 3], atol=1e-4)


def test_unknown_mask_encoder_is_refused():
    with pytest.raises(ValueError, match="use 'linear' or 'conv'"):
        MaskPyramid("deep", 4, 8)


@pytest.mark.parametrize("side", [64, 72])
def test_levels_match_strided_convolutions(side):
    features = MaskPyramid("conv", 5, 8)(torch.rand(2, side, side), 3).features
    size, expected = side // 8, []
    for _ in range(3):
        expected.append(size * size)
        size = -(-size // 2)
    assert list(features) == expected
    assert all(value.shape == (2, tokens, 5) for tokens, value in features.items())


def test_cached_frames_are_read_as_if_they_were_in_the_batch():
    """Frame 1, then two context frames, then the rest, against all of them at once."""
    torch.manual_seed(0)
    block = TemporalAttention(8, 8, 2)
    torch.nn.init.normal_(block.to_out.weight)
    hidden = torch.randn(2, 5, 8, 3, 3)
    kv_cache: dict = {}
    first = block(hidden[:, :1].flatten(0, 1), FrameContext(1, cache_out=kv_cache), "x")
    assert torch.equal(first, hidden[:, 0])
    longer: dict = {}
    block(hidden[:, 1:3].flatten(0, 1), FrameContext(2, kv_cache=kv_cache, cache_out=longer, first_index=1), "x")
    assert [part["x"][0].shape[2] for part in (kv_cache, longer)] == [1, 3]
    later_frames = block(hidden[:, 3:].flatten(0, 1), FrameContext(2, kv_cache=longer, first_index=3), "x").unflatten(
        0, (2, 2)
    )
    full_output = block(hidden.flatten(0, 1), FrameContext(5), "x").unflatten(0, (2, 5))
    torch.testing.assert_close(later_frames, full_output[:, 3:], atol=1e-5, rtol=1e-5)


def test_clean_frames_in_the_batch_see_no_noisy_ones_as_if_they_were_cached():
    """What training computes of context frames is what sampling computes of them."""
    torch.manual_seed(0)
    block = TemporalAttention(8, 8, 2)
    torch.nn.init.normal_(block.to_out.weight)
    hidden = torch.randn(2, 5, 8, 3, 3)
    together = FrameContext(5, clean_frames=torch.tensor([3, 1]))
    out = block(hidden.flatten(0, 1), together, "x").unflatten(0, (2, 5))
    plain = block(hidden.flatten(0, 1), FrameContext(5), "x").unflatten(0, (2, 5))
    torch.testing.assert_close(out[1], plain[1], atol=1e-5, rtol=1e-5)  # no context: frame 1 alone is clean
    alone = block(hidden[:, :3].flatten(0, 1), FrameContext(3), "x").unflatten(0, (2, 3))
    torch.testing.assert_close(out[0, :3], alone[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out[0, 3:], plain[0, 3:], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(plain[0, 1:3], alone[0, 1:], atol=1e-3)


def test_rows_beyond_the_limit_of_the_kernels_are_attended_to_in_chunks(monkeypatch):
    """CUDA's memory-efficient kernel accepts 65,535 rows."""
    rows: list[int] = []

    def spy(query, *rest, **options):
        rows.append(len(query))
        return attention(query, *rest, **options)

    attention = torch.nn.functional.scaled_dot_product_attention
    torch.manual_seed(0)
    block = TemporalAttention(4, 2, 1)
    torch.nn.init.normal_(block.to_out.weight)
    hidden = torch.randn(2 * 3, 4, 1, 32_768)
    expected = [block(hidden[3 * clip : 3 * clip + 3], FrameContext(3), "x") for clip in range(2)]
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    for clean_frames in (None, torch.tensor([1, 1])):
        out = block(hidden, FrameContext(3, clean_frames=clean_frames), "x")
        torch.testing.assert_close(out, torch.cat(expected))
    assert rows == [65_535, 1] * 2
