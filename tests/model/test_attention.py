"""Eq. 5 and Eq. 7 against slow, obvious references, in float32."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention

from mvmodel.model.attention import BaseModelAttnProcessor
from mvmodel.model.context import FrameContext, MaskTerm, ObjectAnchor
from mvmodel.model.first_frame_attention import FirstFrameAttnProcessor, QueryDelta
from mvmodel.model.mask_cross_attention import MaskCrossAttnProcessor, MaskProjection

CLIPS, FRAMES, TOKENS, WIDTH, TEXT = 2, 3, 10, 16, 12


def softmax_attention(query, key, value, heads):
    """Attention of one picture, written out: (Q, C), (K, C), (K, C) -> (Q, C)."""
    out = []
    for q, k, v in zip(query.chunk(heads, -1), key.chunk(heads, -1), value.chunk(heads, -1), strict=True):
        out.append(torch.softmax(q @ k.T / q.shape[-1] ** 0.5, dim=-1) @ v)
    return torch.cat(out, dim=-1)


def make_context(features, coverage=None, words=None):
    """A context in which the adapter "x" has one mask term."""
    coverage = torch.ones(*features.shape[:2], 1) if coverage is None else coverage
    return FrameContext(FRAMES, {"x": (MaskTerm({TOKENS: features}, {TOKENS: coverage}, words),)})


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
    out = FirstFrameAttnProcessor("a")(attn, hidden, context=FrameContext(FRAMES))
    for row in range(CLIPS * FRAMES):
        first = hidden[row // FRAMES * FRAMES]
        expected = softmax_attention(attn.to_q(hidden[row]), attn.to_k(first), attn.to_v(first), 2)
        torch.testing.assert_close(out[row], attn.to_out[0](expected), atol=1e-5, rtol=1e-5)


def test_keys_of_the_own_frame_would_differ(attn, hidden):
    out = FirstFrameAttnProcessor("a")(attn, hidden, context=FrameContext(FRAMES))
    own_frame = FirstFrameAttnProcessor("a")(attn, hidden, context=FrameContext(1))
    assert torch.allclose(out[0], own_frame[0], atol=1e-6), "frame 1 reads itself"
    assert not torch.allclose(out[1], own_frame[1], atol=1e-3), "later frames do not"


def test_the_anchor_lets_an_objects_queries_read_its_own_tokens_of_frame_1(attn, hidden):
    own = torch.zeros(CLIPS, TOKENS)
    own[:, 2:5] = 1
    place = torch.zeros(CLIPS, FRAMES, TOKENS)
    place[:, 1, 6] = 1.0
    place[:, 2, 7] = 0.5
    context = FrameContext(FRAMES, anchors=[ObjectAnchor({TOKENS: own}, {TOKENS: place})])
    plain = FirstFrameAttnProcessor("a")(attn, hidden, context=FrameContext(FRAMES))
    out = FirstFrameAttnProcessor("a")(attn, hidden, context=context)
    for clip in range(CLIPS):
        first = hidden[clip * FRAMES]
        for frame, token, share in ((1, 6, 1.0), (2, 7, 0.5)):
            row = clip * FRAMES + frame
            key, value = attn.to_k(first), attn.to_v(first)
            every = softmax_attention(attn.to_q(hidden[row]), key, value, 2)[token]
            object_only = softmax_attention(attn.to_q(hidden[row]), key[2:5], value[2:5], 2)[token]
            expected = attn.to_out[0](every + share * (object_only - every))
            torch.testing.assert_close(out[row, token], expected, atol=1e-3, rtol=1e-3)
    elsewhere = place.flatten(0, 1) == 0
    assert torch.equal(out[elsewhere], plain[elsewhere])
    absent = FrameContext(FRAMES, anchors=[ObjectAnchor({TOKENS: 0 * own}, {TOKENS: place})])
    unchanged = FirstFrameAttnProcessor("a")(attn, hidden, context=absent)
    torch.testing.assert_close(unchanged, plain, atol=1e-5, rtol=1e-5)


def test_query_change_is_added_and_scaled(attn, hidden):
    delta = torch.nn.Parameter(torch.randn(16, WIDTH, generator=torch.Generator().manual_seed(5)))
    changed = FirstFrameAttnProcessor("a", [QueryDelta(delta, 0.5)])(attn, hidden, context=FrameContext(FRAMES))
    with torch.no_grad():
        attn.to_q.weight += 0.5 * delta
    expected = FirstFrameAttnProcessor("a")(attn, hidden, context=FrameContext(FRAMES))
    torch.testing.assert_close(changed, expected, atol=1e-5, rtol=1e-5)


def test_mask_term_equals_the_two_term_form(cross, hidden):
    generator = torch.Generator().manual_seed(7)
    text = torch.randn(CLIPS * FRAMES, 5, TEXT, generator=generator)
    masks = torch.rand(CLIPS * FRAMES, TOKENS, 4, generator=generator)
    to_m = torch.nn.Linear(4, 16, bias=False)
    out = MaskCrossAttnProcessor("a", [MaskProjection("x", to_m)])(cross, hidden, text, context=make_context(masks))
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
    layer = MaskCrossAttnProcessor("a", [MaskProjection("x", torch.nn.Linear(4, 16, bias=False))])
    expected = cross(hidden, text)
    for context in (make_context(torch.zeros(CLIPS * FRAMES, TOKENS, 4)), FrameContext(FRAMES), None):
        torch.testing.assert_close(layer(cross, hidden, text, context=context), expected, atol=1e-5, rtol=1e-5)


@pytest.fixture
def bound():
    """Two masks, a projection and a text of five tokens, to bind the one to the other."""
    generator = torch.Generator().manual_seed(7)
    text = torch.randn(CLIPS * FRAMES, 5, TEXT, generator=generator)
    masks = torch.rand(2, CLIPS * FRAMES, TOKENS, 4, generator=generator)
    torch.manual_seed(1)
    return text, masks, torch.nn.Linear(4, 16, bias=False)


def test_one_mask_bound_to_all_words_equals_equation_7(cross, hidden, bound):
    text, masks, to_m = bound
    layer = MaskCrossAttnProcessor("a", [MaskProjection("x", to_m)])
    all_words = layer(cross, hidden, text, context=make_context(masks[0]))
    words = layer(cross, hidden, text, context=make_context(masks[0], words=torch.ones(1, 5)))
    torch.testing.assert_close(words, all_words, atol=1e-6, rtol=1e-5)


def test_one_text_row_a_clip_equals_one_a_frame(cross, hidden, bound):
    text, masks, to_m = bound
    once = text[::FRAMES]
    repeated = once.repeat_interleave(FRAMES, dim=0)
    learned = torch.nn.Parameter(torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(2)))
    layer = MaskCrossAttnProcessor("a", [MaskProjection("x", to_m, learned)])
    for words in (None, torch.tensor([[0.0, 1, 0, 0, 0]])):
        context = make_context(masks[0], torch.rand(CLIPS * FRAMES, TOKENS, 1), words)
        torch.testing.assert_close(
            layer(cross, hidden, once, context=context), layer(cross, hidden, repeated, context=context)
        )
    context = make_context(masks[0])
    context.cache_out = {}
    first = layer(cross, hidden, once, context=context)
    read = FrameContext(FRAMES, context.mask_terms, kv_cache=context.cache_out)
    assert torch.equal(layer(cross, hidden, torch.zeros_like(once), context=read), first), "the text is cached"
    base = BaseModelAttnProcessor(cross.processor)
    torch.testing.assert_close(base(cross, hidden, once), cross(hidden, repeated))


def test_each_mask_acts_on_its_own_words_alone(cross, hidden, bound):
    text, masks, to_m = bound
    words = [torch.tensor([[0.0, 1, 0, 0, 0]]), torch.tensor([[0.0, 0, 0, 1, 1]])]
    terms = [
        make_context(mask, words=word_weights).mask_terms["x"][0]
        for mask, word_weights in zip(masks, words, strict=True)
    ]
    out = MaskCrossAttnProcessor("a", [MaskProjection("x", to_m)])(
        cross, hidden, text, context=FrameContext(FRAMES, {"x": terms})
    )
    for row in range(len(hidden)):
        q, k, v = cross.to_q(hidden[row]), cross.to_k(text[row]), cross.to_v(text[row])
        heads = []
        for i in range(2):
            part = slice(i * 8, (i + 1) * 8)
            logits = torch.empty(TOKENS, 5)
            for word in range(5):
                query = q[:, part]
                for mask, word_weights in zip(masks, words, strict=True):
                    if word_weights[0, word]:
                        query = query + to_m(mask[row])[:, part]
                logits[:, word] = query @ k[word, part] / 8**0.5
            heads.append(torch.softmax(logits, dim=-1) @ v[:, part])
        torch.testing.assert_close(out[row], cross.to_out[0](torch.cat(heads, -1)), atol=1e-5, rtol=1e-5)


def test_values_are_as_wide_as_keys_so_that_flash_kernels_apply(cross, hidden, bound, monkeypatch):
    text, masks, to_m = bound
    words = torch.tensor([[0.0, 1, 0, 0, 0]])
    widths = []

    def spy(query, key, value, **options):
        widths.append((query.shape[-1], key.shape[-1], value.shape[-1]))
        return attention(query, key, value, **options)

    attention = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    layer = MaskCrossAttnProcessor("a", [MaskProjection("x", to_m)])
    layer(cross, hidden, text, context=make_context(masks[0], words=words))
    layer(cross, hidden, text, context=make_context(masks[0]))
    assert widths == [(16, 16, 16), (8, 8, 8)]


def test_foreground_keys_add_what_is_read_where_the_mask_is(cross, hidden, bound):
    text, masks, to_m = bound
    learned = torch.nn.Parameter(torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(2)))
    coverage = torch.zeros(CLIPS * FRAMES, TOKENS, 1)
    coverage[:, 4] = 0.5
    context = make_context(masks[0], coverage)
    out = MaskCrossAttnProcessor("a", [MaskProjection("x", to_m, learned)])(cross, hidden, text, context=context)
    without_foreground = MaskCrossAttnProcessor("a", [MaskProjection("x", to_m)])(cross, hidden, text, context=context)
    assert torch.equal(out[:, :4], without_foreground[:, :4]) and torch.equal(out[:, 5:], without_foreground[:, 5:])
    query = cross.to_q(hidden[0]) + to_m(masks[0, 0])
    read = 0.5 * softmax_attention(query, learned[0], learned[1], 2)[4]
    torch.testing.assert_close((out - without_foreground)[0, 4], cross.to_out[0].weight @ read, atol=1e-5, rtol=1e-5)


def test_both_processors_accept_every_keyword(attn, cross, hidden):
    """`Attention.forward` drops keywords that `__call__` does not name, with a warning and without an error."""
    import inspect

    for processor in (
        FirstFrameAttnProcessor("a"),
        MaskCrossAttnProcessor("a"),
        BaseModelAttnProcessor(attn.processor),
    ):
        assert "context" in inspect.signature(processor.__call__).parameters
        assert not isinstance(processor, torch.nn.Module)
