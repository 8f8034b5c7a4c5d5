"""The layers of a UNet that an adapter has to fit."""

from __future__ import annotations

from diffusers import UNet2DConditionModel


def get_attention_shapes(unet: UNet2DConditionModel) -> dict[str, list[int]]:
    """Returns attention layer -> [query width, query input width, text width]. An adapter fits if they are equal."""
    layers = {}
    for name, module in unet.named_modules():
        if name.endswith((".attn1", ".attn2")):
            layers[name] = [module.to_q.out_features, module.to_q.in_features, module.to_k.in_features]
    return layers


def get_transformer_channels(unet: UNet2DConditionModel) -> dict[str, int]:
    """Returns spatial transformer -> its number of channels."""
    out = {}
    for name, module in unet.named_modules():
        if type(module).__name__ == "Transformer2DModel":
            out[name] = int(module.config.in_channels)  # type: ignore[union-attr]
    return out
