"""Self-attention on the first frame (paper, Eq. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from mvmodel.model.attention import project_out
from mvmodel.model.context import FrameContext, ObjectAnchor


@dataclass(frozen=True)
class QueryDelta:
    """What an adapter adds to the weights of a query projection, (C, C), and its strength."""

    delta: torch.nn.Parameter
    scale: float = 1.0


class FirstFrameAttnProcessor:
    """Self-attention whose keys and values come from frame 1 for every frame (paper, Eq. 5).

    The frame axis is folded into the queries, so keys and values are projected once a clip and never repeated. With
    `first_frame` False every frame has its own keys and values, as in the image UNet.
    """

    def __init__(self, name: str, query_deltas: Sequence[QueryDelta] = (), first_frame: bool = True) -> None:
        self.name = name
        self.query_deltas = [delta for delta in query_deltas if delta.scale]
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
        for change in self.query_deltas if context.uses_adapters else ():
            query = query + change.scale * F.linear(hidden_states, change.delta.to(hidden_states.dtype))
        query = query.view(clips, frames * tokens, attn.heads, -1).transpose(1, 2)
        if self.first_frame and self.name in context.kv_cache:
            key, value = context.kv_cache[self.name]
        else:
            first = hidden_states.view(clips, frames, tokens, -1)[:, 0]
            key = attn.to_k(first).view(clips, tokens, attn.heads, -1).transpose(1, 2)
            value = attn.to_v(first).view(clips, tokens, attn.heads, -1).transpose(1, 2)
        if self.first_frame and context.cache_out is not None:
            context.cache_out[self.name] = (key, value)
        out = F.scaled_dot_product_attention(query, key, value)
        for anchor in context.anchors if self.first_frame else ():
            out = _read_object(out, query, key, value, anchor)
        return project_out(attn, out, hidden_states)


def _read_object(
    out: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, anchor: ObjectAnchor
) -> torch.Tensor:
    """`out`, (B, H, F * N, D), with the object's queries attending to its own tokens of frame 1 instead of to all.

    They choose among these by content, so a leg finds a leg wherever it has moved to.
    """
    tokens = key.shape[2]
    # an object that frame 1 does not show leaves no token: equal weights are then plain attention
    bias = anchor.first[tokens].clamp(min=1e-4).log().to(query.dtype)[:, None, None, :]
    read = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    weight = anchor.frames[tokens].flatten(1).to(out.dtype)[:, None, :, None]
    return out + weight * (read - out)
