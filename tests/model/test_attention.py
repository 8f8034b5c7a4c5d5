"""Eq. 5 and Eq. 7 against slow, obvious references, in float32."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention

from mvmodel.model.attention import FirstFrameAttention, MaskCrossAttention
from mvmodel.model.context import FrameContext

CLIPS, FRAMES, TOKENS, WIDTH, TEXT = 2, 3, 10, 16, 12


def softmax_attention(query, key, value, heads):
    """Attention of one picture, written out: (Q, C), (K, C), (K, C) -> (Q, C)."""
    out = []
    for q, k, v in zip(query.chunk(heads, -1), key.chunk(heads, -1), value.chunk(heads, -1), strict=True):
        out.append(torch.softmax(q @ k.T / q.shape[-1] ** 0.5, dim=-1) @ v)
    return torch.cat(out, dim=-1)


@pytest.fixture
def attn():
    torch.manual_seed(0)
    return Attention(query_dim=WIDTH, heads=2, dim_head=8).eval()


@pytest.fixture
def cross():
    torch.manual_seed(0)
    return Attention(query_dim=WIDTH, cross_attention_dim=TEXT, heads=2, dim_head=8).eval()


@pytest.fixture
def hidden():
    return torch.randn(CLIPS * FRAMES, TOKENS, WIDTH, generator=torch.Generator().manual_seed(3))


def test_folded_queries_equal_repeat_and_index(attn, hidden):
    out = FirstFrameAttention("a")(attn, hidden, context=FrameContext(FRAMES))
    for row in range(CLIPS * FRAMES):
        first = hidden[row // FRAMES * FRAMES]
        expected = softmax_attention(attn.to_q(hidden[row]), attn.to_k(first), attn.to_v(first), 2)
        torch.testing.assert_close(out[row], attn.to_out[0](expected), atol=1e-5, rtol=1e-5)


def test_keys_of_the_own_frame_would_differ(attn, hidden):
    out = FirstFrameAttention("a")(attn, hidden, context=FrameContext(FRAMES))
    own = FirstFrameAttention("a")(attn, hidden, context=FrameContext(1))
    assert torch.allclose(out[0], own[0], atol=1e-6), "frame 1 reads itself"
    assert not torch.allclose(out[1], own[1], atol=1e-3), "later frames do not"


def test_query_change_is_added_and_scaled(attn, hidden):
    delta = torch.nn.Parameter(torch.randn(16, WIDTH, generator=torch.Generator().manual_seed(5)))
    changed = FirstFrameAttention("a", delta, scale=0.5)(attn, hidden, context=FrameContext(FRAMES))
    with torch.no_grad():
        attn.to_q.weight += 0.5 * delta
    expected = FirstFrameAttention("a")(attn, hidden, context=FrameContext(FRAMES))
    torch.testing.assert_close(changed, expected, atol=1e-5, rtol=1e-5)


def test_mask_term_equals_the_two_term_form(cross, hidden):
    generator = torch.Generator().manual_seed(7)
    text = torch.randn(CLIPS * FRAMES, 5, TEXT, generator=generator)
    masks = torch.rand(CLIPS * FRAMES, TOKENS, 4, generator=generator)
    to_m = torch.nn.Linear(4, 16, bias=False)
    context = FrameContext(FRAMES, masks={TOKENS: masks})
    out = MaskCrossAttention("a", to_m)(cross, hidden, text, context=context)
    for row in range(len(hidden)):
        q, m = cross.to_q(hidden[row]), to_m(masks[row])
        k, v = cross.to_k(text[row]), cross.to_v(text[row])
        heads = []
        for i in range(2):
            part = slice(i * 8, (i + 1) * 8)
            logits = (q[:, part] @ k[:, part].T + m[:, part] @ k[:, part].T) / 8**0.5
            heads.append(torch.softmax(logits, dim=-1) @ v[:, part])
        torch.testing.assert_close(out[row], cross.to_out[0](torch.cat(heads, -1)), atol=1e-5, rtol=1e-5)


def test_no_mask_means_plain_cross_attention(cross, hidden):
    text = torch.randn(CLIPS * FRAMES, 5, TEXT, generator=torch.Generator().manual_seed(7))
    to_m = torch.nn.Linear(4, 16, bias=False)
    zero = FrameContext(FRAMES, masks={TOKENS: torch.zeros(CLIPS * FRAMES, TOKENS, 4)})
    plain = cross(hidden, text)
    torch.testing.assert_close(
        MaskCrossAttention("a", to_m)(cross, hidden, text, context=zero), plain, atol=1e-5, rtol=1e-5
    )
    none = FrameContext(FRAMES, masks=None)
    torch.testing.assert_close(
        MaskCrossAttention("a", to_m)(cross, hidden, text, context=none), plain, atol=1e-5, rtol=1e-5
    )
