"""Attention of segment-anything's image encoder that does not store its scores.

At 1024x1024 pixels the published attention of ViT-B holds several arrays (heads, 4096, 4096) at once, of 0.8 GB each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, get_rel_pos

_BIAS_BYTES = 16 * 2**20
"""Position biases computed at once: they stay in the processor's cache, and malloc reuses their memory."""


class FusedAttention(torch.nn.Module):
    """An `Attention` with relative positions, computed by `scaled_dot_product_attention` a few rows of queries at once.

    Has the parameters of the attention that it replaces under the same names. Results differ by rounding. On a GPU it
    computes what the published one does, in its way.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.num_heads, self.scale = attention.num_heads, attention.scale
        self.qkv, self.proj = attention.qkv, attention.proj
        self.rel_pos_h, self.rel_pos_w = attention.rel_pos_h, attention.rel_pos_w
        self.use_rel_pos = attention.use_rel_pos

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Attention among tokens, float (batch, height, width, channels), of the same shape."""
        if tokens.device.type != "cpu":
            published: torch.Tensor = Attention.forward(self, tokens)
            return published
        batch, height, width, _ = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, height * width, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        queries, keys, values = qkv.contiguous().unbind(0)  # each (batch, heads, height * width, channels)
        grid = queries.reshape(batch, self.num_heads, height, width, -1)
        relative_rows = get_rel_pos(height, height, self.rel_pos_h)
        relative_columns = get_rel_pos(width, width, self.rel_pos_w)
        row_bytes = batch * self.num_heads * width * height * width * queries.element_size()
        step = max(1, _BIAS_BYTES // row_bytes)
        rows = []
        for top in range(0, height, step):
            part = grid[:, :, top : top + step]
            vertical = torch.einsum("bnhwc,hkc->bnhwk", part, relative_rows[top : top + step])
            horizontal = torch.einsum("bnhwc,wkc->bnhwk", part, relative_columns)
            bias = (vertical[..., :, None] + horizontal[..., None, :]).flatten(4).flatten(2, 3)
            rows.append(
                F.scaled_dot_product_attention(part.flatten(2, 3), keys, values, attn_mask=bias, scale=self.scale)
            )
        projected: torch.Tensor = self.proj(torch.cat(rows, dim=2).transpose(1, 2).reshape(batch, height, width, -1))
        return projected


def fuse_attention(encoder: ImageEncoderViT) -> None:
    """Replace the attention in every block of an image encoder by a `FusedAttention`."""
    for block in encoder.blocks:
        block.attn = FusedAttention(block.attn)
