"""Temporal attention of a small width: each position of the image attends along the frames."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from mvmodel.model.context import FrameContext

MAX_ROWS = 65_535
"""Rows of one attention call. CUDA's memory-efficient kernel has a grid dimension per row, and fails above this."""


def frame_positions(first: int, frames: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Returns sinusoidal codes of frame indices, (frames, width).

    Learned codes would fail beyond the length they were trained at.
    """
    index = torch.arange(first, first + frames, device=like.device, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, device=like.device, dtype=torch.float32) * (-math.log(1000.0) / width))
    return torch.cat([torch.sin(index * rates), torch.cos(index * rates)], dim=1).to(like.dtype)


class TemporalAttention(torch.nn.Module):
    """Attention along the time axis, added to frames 2..n. Frame 1 is left unchanged.

    Nothing flows from later frames into frame 1, so its features are the same at every denoising step. The output
    projection starts at zero, so that the untrained layer is the identity.
    """

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        if width % heads or width % 2:
            raise ValueError(f"temporal width {width} must be even and divisible by {heads} heads")
        self.heads = heads
        self.norm = torch.nn.LayerNorm(channels)
        self.inner = torch.nn.Linear(channels, width)
        self.to_qkv = torch.nn.Linear(width, 3 * width, bias=False)
        self.to_out = torch.nn.Linear(width, channels, bias=False)
        torch.nn.init.zeros_(self.to_out.weight)

    def forward(self, hidden: torch.Tensor, context: FrameContext, name: str, scale: float = 1.0) -> torch.Tensor:
        """Maps (B * F, C, height, width) to the same shape. `name`: key of this layer in the KV cache."""
        frames = context.frames
        batch, channels, height, width = hidden.shape
        clips = batch // frames
        tokens = hidden.view(clips, frames, channels, height * width).permute(0, 3, 1, 2)  # (B, N, F, C)
        inner = self.inner(self.norm(tokens))
        inner = inner + frame_positions(context.first_index, frames, inner.shape[-1], inner)
        if name in context.kv_cache:
            inner = torch.cat([context.kv_cache[name][0], inner], dim=2)
        if context.cache_out is not None:
            context.cache_out[name] = (inner,)
        cached_frames = inner.shape[2] - frames
        query, key, value = self.to_qkv(inner).chunk(3, dim=-1)
        later = query[:, :, max(1, cached_frames) :]  # of this batch's frames, without the video's first
        if later.shape[2] == 0:
            return hidden
        visible = None if context.clean_frames is None else self._visible(context.clean_frames, frames, tokens.shape[1])
        out = attend_in_chunks(self._split(later), self._split(key), self._split(value), visible)
        change = self.to_out(out.transpose(1, 2).flatten(2)).unflatten(0, (clips, -1)) * scale  # (B, N, F - 1 or F, C)
        change = change.permute(0, 2, 3, 1).unflatten(3, (height, width))
        if not cached_frames:
            change = F.pad(change, (0, 0, 0, 0, 0, 0, 1, 0))
        return hidden + change.flatten(0, 1).to(hidden.dtype)

    def _visible(self, clean_frames: torch.Tensor, frames: int, tokens: int) -> torch.Tensor:
        """Which frames each frame after frame 1 attends to: bool (B * N, 1, F - 1, F). Clean ones see clean ones."""
        is_clean = torch.arange(frames, device=clean_frames.device) < clean_frames[:, None]  # (B, F)
        visible = ~is_clean[:, 1:, None] | is_clean[:, None]  # (B, F - 1, F)
        return visible.repeat_interleave(tokens, dim=0)[:, None]

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, F, W) -> (B * N, H, F, D), the shape that fused kernels and compilers expect."""
        return x.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)


def attend_in_chunks(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, visible: torch.Tensor | None = None
) -> torch.Tensor:
    """Attention of any number of rows, (rows, H, F, D) each. visible: bool (rows, 1, queries, keys), or None for all.

    A high-resolution video with guidance has more rows, one per clip and position, than CUDA's kernels accept.
    """
    if len(query) <= MAX_ROWS:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
    parts = [slice(start, start + MAX_ROWS) for start in range(0, len(query), MAX_ROWS)]
    chunks = [
        F.scaled_dot_product_attention(
            query[part], key[part], value[part], attn_mask=None if visible is None else visible[part]
        )
        for part in parts
    ]
    return torch.cat(chunks)
