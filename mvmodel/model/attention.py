"""Attention processors for an unforked UNet2DConditionModel.

Both are plain objects with `__call__`: a module processor with `forward` would lose every keyword silently, and its
weights would leak into the UNet's state dict. Trainable weights stay in the adapter, which hands over references.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from mvmodel.model.context import FrameContext


def _finish(attn: Any, out: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(B, H, Q, D) -> the layer's output, in `like`'s (batch, N, C)."""
    merged = out.transpose(1, 2).reshape(like.shape[0], like.shape[1], -1).to(like.dtype)
    result: torch.Tensor = attn.to_out[1](attn.to_out[0](merged))
    return result


class FirstFrameAttention:
    """Self-attention whose keys and values come from frame 1 for every frame (paper, Eq. 5).

    The frame axis is folded into the queries, so keys and values are projected once a clip and never repeated.
    `delta` is the adapter's change of the query projection, (C, C), or None.
    """

    def __init__(self, name: str, delta: torch.nn.Parameter | None = None, scale: float = 1.0) -> None:
        self.name = name
        self.delta = delta
        self.scale = scale

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        context: FrameContext | None = None,
    ) -> torch.Tensor:
        context = context or FrameContext(frames=1)
        frames = context.frames
        batch, tokens, _ = hidden_states.shape
        clips = batch // frames
        query = attn.to_q(hidden_states)
        if self.delta is not None and self.scale:
            query = query + self.scale * F.linear(hidden_states, self.delta.to(hidden_states.dtype))
        query = query.view(clips, frames * tokens, attn.heads, -1).transpose(1, 2)
        if context.reads_memory:
            key, value = context.memory[self.name]
        else:
            first = hidden_states.view(clips, frames, tokens, -1)[:, 0]
            key = attn.to_k(first).view(clips, tokens, attn.heads, -1).transpose(1, 2)
            value = attn.to_v(first).view(clips, tokens, attn.heads, -1).transpose(1, 2)
            if context.remember:
                context.memory[self.name] = (key, value)
        out = F.scaled_dot_product_attention(query, key, value)
        return _finish(attn, out, hidden_states)


class MaskCrossAttention:
    """Cross-attention on the text with the mask added to the queries: softmax((Q + M) K' / sqrt d) V (paper, Eq. 7).

    `to_m` projects mask features to the queries' width, without bias, so that no mask means M = 0 exactly.
    """

    def __init__(self, name: str, to_m: torch.nn.Linear | None = None, scale: float = 1.0) -> None:
        self.name = name
        self.to_m = to_m
        self.scale = scale

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        context: FrameContext | None = None,
    ) -> torch.Tensor:
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        batch, tokens, _ = hidden_states.shape
        query = attn.to_q(hidden_states)
        if context is not None and context.masks is not None and self.to_m is not None and self.scale:
            query = query + self.scale * self.to_m(context.masks[tokens].to(hidden_states.dtype))
        query = query.view(batch, tokens, attn.heads, -1).transpose(1, 2)
        key = attn.to_k(text).view(batch, text.shape[1], attn.heads, -1).transpose(1, 2)
        value = attn.to_v(text).view(batch, text.shape[1], attn.heads, -1).transpose(1, 2)
        bias = attention_mask
        if bias is not None:
            bias = attn.prepare_attention_mask(bias, text.shape[1], batch).view(batch, attn.heads, -1, text.shape[1])
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return _finish(attn, out, hidden_states)
