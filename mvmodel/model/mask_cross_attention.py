"""Cross-attention with the mask in its queries (paper, Eq. 7). This is where the mask enters the UNet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from mvmodel.model.attention import project_out
from mvmodel.model.context import FrameContext


@dataclass(frozen=True)
class MaskProjection:
    """What one adapter adds to a cross-attention layer.

    Attributes:
        adapter: name of the adapter in `FrameContext.mask_terms`.
        to_m: mask features -> width of the queries. It has no bias, so an empty mask gives M = 0 exactly.
        foreground: learned keys and values of the foreground, (2, T, C), or None.
        scale: strength of the adapter.
    """

    adapter: str
    to_m: torch.nn.Linear
    foreground: torch.nn.Parameter | None = None
    scale: float = 1.0


class MaskCrossAttnProcessor:
    """Cross-attention on the text with the mask added to the queries: softmax((Q + M) K' / sqrt d) V (paper, Eq. 7).

    A mask that is bound to words acts on their keys alone: the logit of word l is (Q + sum over masks of w_l M) k_l.
    This is computed as one attention over queries [Q, M_1, ..] and keys [K, w_1 K, ..], so that no bias of
    tokens x words is built. If there are learned foreground keys and values, the result of attending to them with
    Q + M is added where the mask is.

    The text may have one row a clip, (B, L, C), for (B * F, N, C) hidden states. Its keys and values are then projected
    once a clip, and with a KV cache once a prompt.
    """

    def __init__(self, name: str, projections: Sequence[MaskProjection] = ()) -> None:
        self.name = name
        self.projections = [projection for projection in projections if projection.scale]

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
        cached = context.kv_cache.get(self.name)
        tokens, clips = hidden_states.shape[1], len(text) if cached is None else len(cached[0])

        def split(x: torch.Tensor) -> torch.Tensor:
            return x.reshape(clips, -1, attn.heads, x.shape[-1] // attn.heads).transpose(1, 2)  # (B, H, .., D)

        query = attn.to_q(hidden_states)
        word_bound: list[tuple[torch.Tensor, torch.Tensor]] = []
        foregrounds: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for projection in self.projections if context.uses_adapters else ():
            for term in context.mask_terms.get(projection.adapter, ()):
                mask_query = projection.scale * projection.to_m(term.features[tokens].to(hidden_states.dtype))
                if term.token_weights is None:
                    query = query + mask_query
                else:
                    word_bound.append((split(mask_query), term.token_weights))
                if projection.foreground is not None:
                    coverage = projection.scale * term.coverage[tokens]
                    foregrounds.append((mask_query, projection.foreground, coverage))
        key, value = cached or (split(attn.to_k(text)), split(attn.to_v(text)))
        if context.cache_out is not None:
            context.cache_out[self.name] = (key, value)
        query = split(query)
        bias = attention_mask
        if bias is not None:
            bias = attn.prepare_attention_mask(bias, text.shape[1], clips).view(clips, attn.heads, -1, text.shape[1])
        scale = query.shape[-1] ** -0.5
        queries = torch.cat([query, *(mask_query for mask_query, _ in word_bound)], dim=-1)
        keys = torch.cat([key, *(key * weights.to(key.dtype)[:, None, :, None] for _, weights in word_bound)], dim=-1)
        # Flash kernels need values as wide as the keys, which words of their own make wider.
        values = F.pad(value, (0, keys.shape[-1] - value.shape[-1])) if word_bound else value
        out = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=scale)
        out = out[..., : value.shape[-1]]
        for mask_query, foreground, coverage in foregrounds:
            foreground_query = query if not word_bound else query + split(mask_query)
            learned = foreground.to(query.dtype)[:, None].expand(-1, clips, -1, -1)  # (2, B, T, C)
            read = F.scaled_dot_product_attention(foreground_query, split(learned[0]), split(learned[1]))
            out = out + coverage.to(read.dtype).reshape(clips, 1, -1, 1) * read
        return project_out(attn, out, hidden_states)
