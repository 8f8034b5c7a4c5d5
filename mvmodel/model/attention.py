"""Shared parts of the attention processors, and the processor that leaves a layer unchanged.

`first_frame_attention` replaces self-attention, `mask_cross_attention` cross-attention.

All processors are plain objects with `__call__`. If a processor were a module with `forward`, diffusers would silently
drop its keyword arguments, and its weights would show up in the UNet's state dict. Trainable weights stay in the
adapters, which pass references.
"""

from __future__ import annotations

from typing import Any

import torch

from mvmodel.model.context import FrameContext


def project_out(attn: Any, out: torch.Tensor, hidden_states: torch.Tensor) -> torch.Tensor:
    """Merges the heads of (B, H, Q, D) and applies the layer's output projection; shaped as `hidden_states`."""
    merged = out.transpose(1, 2).reshape(hidden_states.shape[0], hidden_states.shape[1], -1).to(hidden_states.dtype)
    result: torch.Tensor = attn.to_out[1](attn.to_out[0](merged))
    return result


class BaseModelAttnProcessor:
    """The UNet's own processor without the keyword `context`: the base model, bit for bit."""

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
