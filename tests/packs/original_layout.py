"""Writes a pack's models as one file in the original layout of Stable Diffusion 1.x, as diffusers reads it."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import save_file

from mvmodel.packs import Pack

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet_key(name: str, levels: int, layers: int) -> str:
    """The original name of a UNet's weight."""
    if match := re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.+)", name):
        side, block, kind, layer, rest = match.groups()
        if side == "down":
            place = f"input_blocks.{(layers + 1) * int(block) + int(layer) + 1}"
        else:
            place = f"output_blocks.{(layers + 1) * int(block) + int(layer)}"
        return f"{place}.0.{_resnet(rest)}" if kind == "resnets" else f"{place}.1.{rest}"
    if match := re.match(r"down_blocks\.(\d+)\.downsamplers\.0\.conv\.(.+)", name):
        return f"input_blocks.{(layers + 1) * (int(match[1]) + 1)}.0.op.{match[2]}"
    if match := re.match(r"up_blocks\.(\d+)\.upsamplers\.0\.(.+)", name):
        return f"output_blocks.{(layers + 1) * int(match[1]) + layers}.2.{match[2]}"
    if match := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", name):
        rest = _resnet(match[3]) if match[1] == "resnets" else match[3]
        return f"middle_block.{2 * int(match[2]) if match[1] == 'resnets' else 1}.{rest}"
    for new, old in {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }.items():
        if name.startswith(f"{new}."):
            return name.replace(new, old, 1)
    raise KeyError(name)


def vae_key(name: str, levels: int) -> str:
    """The original name of an autoencoder's weight."""
    name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    name = re.sub(r"encoder\.down_blocks\.(\d+)\.resnets\.(\d+)", r"encoder.down.\1.block.\2", name)
    name = re.sub(r"encoder\.down_blocks\.(\d+)\.downsamplers\.0", r"encoder.down.\1.downsample", name)
    for block in range(levels):
        name = name.replace(f"up_blocks.{block}.resnets", f"up.{levels - 1 - block}.block")
        name = name.replace(f"up_blocks.{block}.upsamplers.0", f"up.{levels - 1 - block}.upsample")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if "mid_block.attentions.0" in name:
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
        for new, old in VAE_ATTENTION.items():
            name = name.replace(f".{new}.", f".{old}.")
    return name


def write_original_checkpoint(pack: Pack, file: Path, **extra: torch.Tensor) -> dict[str, torch.Tensor]:
    """Write the pack's UNet, autoencoder and text encoder to `file`, with `extra` tensors; returns what was written."""
    unet, vae = pack.unet(), pack.vae()
    levels, layers = len(unet.config.block_out_channels), unet.config.layers_per_block
    state = {
        f"model.diffusion_model.{unet_key(name, levels, layers)}": value for name, value in unet.state_dict().items()
    }
    for name, value in vae.state_dict().items():
        is_attention = "mid_block.attentions" in name and value.ndim == 2
        key = vae_key(name, len(vae.config.block_out_channels))
        state[f"first_stage_model.{key}"] = value[:, :, None, None] if is_attention else value
    for name, value in pack.text_encoder().state_dict().items():
        prefixed = name if name.startswith("text_model.") else f"text_model.{name}"
        state[f"cond_stage_model.transformer.{prefixed}"] = value
    state = {name: value.clone().contiguous() for name, value in (state | extra).items()}
    save_file(state, file)
    return state


def _resnet(rest: str) -> str:
    part, _, last = rest.partition(".")
    return f"{RESNET[part]}.{last}"
