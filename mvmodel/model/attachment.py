"""Attaches adapters to a UNet for the duration of a `with` block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import (
    AttnProcessor,
    AttnProcessor2_0,
    FusedAttnProcessor2_0,
    SlicedAttnProcessor,
    XFormersAttnProcessor,
)

from mvmodel.errors import InputError
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attention import BaseModelAttnProcessor
from mvmodel.model.context import DEFAULT
from mvmodel.model.first_frame_attention import FirstFrameAttnProcessor
from mvmodel.model.mask_cross_attention import MaskCrossAttnProcessor
from mvmodel.model.unet_layers import get_attention_shapes, get_transformer_channels

PLAIN_PROCESSORS = (AttnProcessor, AttnProcessor2_0, FusedAttnProcessor2_0, SlicedAttnProcessor, XFormersAttnProcessor)
"""Processors that compute ordinary attention, each in its own way. Replacing them loses nothing."""


@contextmanager
def attach_adapter(
    unet: UNet2DConditionModel, adapter: MotionMaskAdapter, scale: float = 1.0, first_frame_attention: bool = True
) -> Iterator[UNet2DConditionModel]:
    """Attaches one adapter under the name "default"; see `attach_adapters`."""
    with attach_adapters(unet, {DEFAULT: (adapter, scale)}, first_frame_attention):
        yield unet


@contextmanager
def attach_adapters(
    unet: UNet2DConditionModel,
    adapters: Mapping[str, tuple[MotionMaskAdapter, float]],
    first_frame_attention: bool = True,
) -> Iterator[UNet2DConditionModel]:
    """Attaches adapters (name -> adapter, scale) together. After the block the UNet is exactly as it was before.

    Inside the block, call the UNet with `cross_attention_kwargs={"context": FrameContext(...)}`. Query deltas, mask
    terms and temporal attention of all adapters are multiplied by their scales and added up. If every scale is 0, or
    there is no adapter, the UNet computes what the base model computes, bit for bit. With `first_frame_attention` False
    self-attention keeps the keys and values of each frame (turns off the paper's Eq. 5).

    With gradient checkpointing, run the backward pass inside the block too, since it runs the layers again.

    Raises:
        PackError: An adapter was made for another architecture.
        InputError: The UNet has attention processors with a computation of their own, such as IP-Adapter's, which the
            adapters' processors would replace.
    """
    for adapter, _ in adapters.values():
        adapter.check_fits(unet)
    active = {name: (adapter, scale) for name, (adapter, scale) in adapters.items() if scale}
    original_processors = dict(unet.attn_processors)
    if active:
        _refuse_foreign_processors(original_processors)
    processors: dict[str, Any] = {}
    for layer in get_attention_shapes(unet):
        key = f"{layer}.processor"
        if not active:
            processors[key] = BaseModelAttnProcessor(original_processors[key])
        elif layer.endswith(".attn1"):
            deltas = [adapter.get_query_delta(layer, scale) for adapter, scale in active.values()]
            processors[key] = FirstFrameAttnProcessor(layer, deltas, first_frame_attention)
        else:
            projections = [adapter.get_mask_projection(layer, name, scale) for name, (adapter, scale) in active.items()]
            processors[key] = MaskCrossAttnProcessor(layer, projections)
    modules = dict(unet.named_modules())
    hooks = []
    try:
        unet.set_attn_processor(dict(processors))
        for layer in get_transformer_channels(unet):
            for name, (adapter, scale) in active.items():
                if hook := adapter.make_temporal_hook(layer, name, scale):
                    hooks.append(modules[layer].register_forward_hook(hook, with_kwargs=True))
        yield unet
    finally:
        for handle in hooks:
            handle.remove()
        unet.set_attn_processor(original_processors)


def _refuse_foreign_processors(processors: Mapping[str, Any]) -> None:
    foreign = sorted({type(p).__name__ for p in processors.values() if type(p) not in PLAIN_PROCESSORS})
    if foreign:
        raise InputError(
            f"the UNet has attention processors ({', '.join(foreign)}) that a motion adapter would replace; unload "
            f"what installed them first, for example with `unload_ip_adapter()`"
        )
