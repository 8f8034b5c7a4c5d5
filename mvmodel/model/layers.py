"""The layers of a UNet that an adapter has to fit."""

from __future__ import annotations

from diffusers import UNet2DConditionModel


def architecture(unet: UNet2DConditionModel) -> dict[str, list[int]]:
    """Name of every attention layer -> [query width, query input width, text width]: what an adapter must fit."""
    layers = {}
    for name, module in unet.named_modules():
        if name.endswith((".attn1", ".attn2")):
            layers[name] = [module.to_q.out_features, module.to_q.in_features, module.to_k.in_features]
    return layers


def transformers_of(unet: UNet2DConditionModel) -> dict[str, int]:
    """Name of every spatial transformer -> its channels."""
    out = {}
    for name, module in unet.named_modules():
        if type(module).__name__ == "Transformer2DModel":
            out[name] = int(module.config.in_channels)  # type: ignore[union-attr]
    return out
