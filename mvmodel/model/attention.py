"""Attention processors for an unforked UNet2DConditionModel.

All are plain objects with `__call__`: a module processor with `forward` would lose every keyword silently, and its
weights would leak into the UNet's state dict. Trainable weights stay in the adapters, which hand over references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from mvmodel.model.context import FrameContext


def _finish(attn: Any, out: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(B, H, Q, D) -> the layer's output, in `like`'s (batch, N, C)."""
    merged = out.transpose(1, 2).reshape(like.shape[0], like.shape[1], -1).to(like.dtype)
    result: torch.Tensor = attn.to_out[1](attn.to_out[0](merged))
    return result


class BaseAttention:
    """The UNet's own processor, with our keyword taken off: the base model, bit for bit."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        context: FrameContext | None = None,
    ) -> torch.Tensor:
        text = encoder_hidden_states
        if text is not None and len(text) != len(hidden_states):
            text = text.repeat_interleave(len(hidden_states) // len(text), dim=0)
        out: torch.Tensor = self.processor(attn, hidden_states, text, attention_mask, temb)
        return out


@dataclass(frozen=True)
class QueryChange:
    """An adapter's change of a query projection, (C, C), and its strength."""

    delta: torch.nn.Parameter
    scale: float = 1.0


class FirstFrameAttention:
    """Self-attention whose keys and values come from frame 1 for every frame (paper, Eq. 5).

    The frame axis is folded into the queries, so keys and values are projected once a clip and never repeated.
    first_frame False gives every frame its own keys and values, as the image UNet does.
    """

    def __init__(self, name: str, changes: Sequence[QueryChange] = (), first_frame: bool = True) -> None:
        self.name = name
        self.changes = [change for change in changes if change.scale]
        self.first_frame = first_frame

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
        frames = context.frames if self.first_frame else 1
        batch, tokens, _ = hidden_states.shape
        clips = batch // frames
        query = attn.to_q(hidden_states)
        for change in self.changes:
            query = query + change.scale * F.linear(hidden_states, change.delta.to(hidden_states.dtype))
        query = query.view(clips, frames * tokens, attn.heads, -1).transpose(1, 2)
        if self.first_frame and self.name in context.memory:
            key, value = context.memory[self.name]
        else:
            first = hidden_states.view(clips, frames, tokens, -1)[:, 0]
            key = attn.to_k(first).view(clips, tokens, attn.heads, -1).transpose(1, 2)
            value = attn.to_v(first).view(clips, tokens, attn.heads, -1).transpose(1, 2)
        if self.first_frame and context.remember is not None:
            context.remember[self.name] = (key, value)
        out = F.scaled_dot_product_attention(query, key, value)
        return _finish(attn, out, hidden_states)


@dataclass(frozen=True)
class MaskPart:
    """What one adapter brings to a cross-attention layer.

    to_m: mask features -> the queries' width, without bias, so that no mask means M = 0 exactly. foreground: learned
    keys and values (2, T, C), or None.
    """

    adapter: str
    to_m: torch.nn.Linear
    foreground: torch.nn.Parameter | None = None
    scale: float = 1.0


class MaskCrossAttention:
    """Cross-attention on the text with the mask added to the queries: softmax((Q + M) K' / sqrt d) V (paper, Eq. 7).

    A mask that is bound to words acts on their keys alone: word l's logit is (Q + sum over masks of w_l M) k_l. That
    stays one attention, over queries [Q, M_1, ..] and keys [K, w_1 K, ..], so no bias of tokens x words is built.
    With learned foreground keys and values, what Q + M reads there is added where the mask is.

    The text may be one row a clip, (B, L, C), for (B * F, N, C) hidden states: its keys and values are then projected
    once a clip, and with a memory once a prompt.
    """

    def __init__(self, name: str, parts: Sequence[MaskPart] = ()) -> None:
        self.name = name
        self.parts = [part for part in parts if part.scale]

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
        context = context or FrameContext(frames=1)
        remembered = context.memory.get(self.name)
        tokens, clips = hidden_states.shape[1], len(text) if remembered is None else len(remembered[0])

        def split(x: torch.Tensor) -> torch.Tensor:
            return x.reshape(clips, -1, attn.heads, x.shape[-1] // attn.heads).transpose(1, 2)  # (B, H, .., D)

        query = attn.to_q(hidden_states)
        bound: list[tuple[torch.Tensor, torch.Tensor]] = []
        extra: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for part in self.parts:
            for term in context.terms.get(part.adapter, ()):
                change = part.scale * part.to_m(term.features[tokens].to(hidden_states.dtype))
                if term.words is None:
                    query = query + change
                else:
                    bound.append((split(change), term.words))
                if part.foreground is not None:
                    extra.append((change, part.foreground, part.scale * term.coverage[tokens]))
        key, value = remembered or (split(attn.to_k(text)), split(attn.to_v(text)))
        if context.remember is not None:
            context.remember[self.name] = (key, value)
        plain = split(query)
        bias = attention_mask
        if bias is not None:
            bias = attn.prepare_attention_mask(bias, text.shape[1], clips).view(clips, attn.heads, -1, text.shape[1])
        scale = plain.shape[-1] ** -0.5
        wide = torch.cat([plain, *(change for change, _ in bound)], dim=-1)
        keys = torch.cat([key, *(key * words.to(key.dtype)[:, None, :, None] for _, words in bound)], dim=-1)
        out = F.scaled_dot_product_attention(wide, keys, value, attn_mask=bias, scale=scale)
        for change, foreground, coverage in extra:
            own = plain if not bound else plain + split(change)
            learned = foreground.to(plain.dtype)[:, None].expand(-1, clips, -1, -1)  # (2, B, T, C)
            read = F.scaled_dot_product_attention(own, split(learned[0]), split(learned[1]))
            out = out + coverage.to(read.dtype).reshape(clips, 1, -1, 1) * read
        return _finish(attn, out, hidden_states)
