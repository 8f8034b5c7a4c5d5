"""Attaching adapters to a UNet for the length of a `with` block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from diffusers import UNet2DConditionModel

from mvmodel.model.attention import BaseAttention, FirstFrameAttention, MaskCrossAttention
from mvmodel.model.layers import architecture, transformers_of

if TYPE_CHECKING:
    from mvmodel.model.adapter import MotionMaskAdapter


@contextmanager
def attach(
    unet: UNet2DConditionModel, adapters: Mapping[str, tuple[MotionMaskAdapter, float]], first_frame: bool = True
) -> Iterator[UNet2DConditionModel]:
    """Attach adapters (name -> adapter, scale) side by side; the UNet leaves the block exactly as it came in.

    Inside, call the UNet with `cross_attention_kwargs={"context": FrameContext(...)}`. What the adapters change is
    added up: query changes, mask terms and temporal attention, each times its scale. When every scale is 0 (or there
    is no adapter) the UNet computes what the base model computes, bit for bit. first_frame False leaves self-attention
    the keys and values of its own frame (the paper's Eq. 5 off).

    With gradient checkpointing the backward pass belongs inside the block too, since it runs the layers again. Raises
    PackError when an adapter was made for another architecture, naming both.
    """
    for adapter, _ in adapters.values():
        adapter.check_fits(unet)
    active = {name: given for name, given in adapters.items() if given[1]}
    before = dict(unet.attn_processors)
    processors: dict[str, Any] = {}
    for layer in architecture(unet):
        if not active:
            processors[f"{layer}.processor"] = BaseAttention(before[f"{layer}.processor"])
        elif layer.endswith(".attn1"):
            changes = [adapter.query_change(layer, scale) for adapter, scale in active.values()]
            processors[f"{layer}.processor"] = FirstFrameAttention(layer, changes, first_frame)
        else:
            parts = [adapter.cross_part(layer, name, scale) for name, (adapter, scale) in active.items()]
            processors[f"{layer}.processor"] = MaskCrossAttention(layer, parts)
    modules = dict(unet.named_modules())
    hooks = []
    try:
        unet.set_attn_processor(dict(processors))
        for layer in transformers_of(unet):
            for name, (adapter, scale) in active.items():
                if hook := adapter.temporal_hook(layer, name, scale):
                    hooks.append(modules[layer].register_forward_hook(hook, with_kwargs=True))
        yield unet
    finally:
        for handle in hooks:
            handle.remove()
        unet.set_attn_processor(before)
