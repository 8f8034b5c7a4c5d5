"""The attentions that ours is compared with, on one UNet: what they differ in is all that differs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

VARIANTS = ("image", "ours", "remembered", "repeated", "full")
"""image: the UNet alone, every frame a picture. ours: the adapter attached, all frames in one call, as in training.
remembered: as a denoising step has it, frame 1 and the text's keys and values computed beforehand. repeated: ours, but
frame 1's keys and values projected and held for every frame. full: every frame reads all frames."""


class OtherKeysAttnProcessor:
    """Self-attention of F frames with keys and values repeated from frame 1, or of all frames."""

    def __init__(self, frames: int, full: bool) -> None:
        self.frames, self.full = frames, full

    def __call__(
        self,
        attn: Any,
        hidden_states: Any,
        encoder_hidden_states: Any = None,
        attention_mask: Any = None,
        temb: Any = None,
        context: Any = None,
    ) -> Any:
        import torch.nn.functional as F

        batch, tokens, _ = hidden_states.shape
        clips = batch // self.frames
        query, key, value = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        if self.full:
            query, key, value = (x.reshape(clips, self.frames * tokens, -1) for x in (query, key, value))
        else:
            key, value = (
                x.unflatten(0, (clips, self.frames))[:, :1].repeat(1, self.frames, 1, 1).flatten(0, 1)
                for x in (key, value)
            )
        heads = [x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (query, key, value)]
        out = F.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(batch, tokens, -1)
        return attn.to_out[1](attn.to_out[0](out))


@contextmanager
def attach_variant(name: str, unet: Any, adapter: Any, frames: int) -> Iterator[None]:
    """The UNet as `name` of `VARIANTS` has it, for calls on `frames` frames."""
    if name == "image":
        yield
        return
    from mvmodel.model.attachment import attach_adapter

    with attach_adapter(unet, adapter):
        if name not in ("ours", "remembered"):
            ours = unet.attn_processors
            processor = OtherKeysAttnProcessor(frames, full=name == "full")
            unet.set_attn_processor({k: processor if ".attn1." in k else v for k, v in ours.items()})
        yield


def make_call(name: str, unet: Any, adapter: Any, frames: int, side: int | tuple[int, int]) -> Any:
    """A function that runs the UNet once on `frames` frames of latents under variant `name`, where the UNet is.

    side: the latents' side, or their height and width.
    """
    import torch

    from mvmodel.model.context import DEFAULT, FrameContext, KVCache

    generator = torch.Generator().manual_seed(0)
    height, width = (side, side) if isinstance(side, int) else side
    sample = torch.randn(frames, unet.config.in_channels, height, width, generator=generator)
    masks = (torch.rand(frames, height * 8, width * 8, generator=generator) > 0.8).float()
    text = torch.randn(frames if name == "image" else 1, 77, unet.config.cross_attention_dim, generator=generator)
    sample, masks, text = (part.to(unet.device, unet.dtype) for part in (sample, masks, text))
    t = torch.full((frames,), 500, device=unet.device)
    t[0] = 0 if name != "image" else 500

    def once(context: Any, rows: slice) -> Any:
        options = {} if context is None else {"cross_attention_kwargs": {"context": context}}
        with torch.no_grad(), attach_variant(name, unet, adapter, frames):
            return unet(sample[rows], t[rows], encoder_hidden_states=text, **options).sample

    def term(rows: slice) -> Any:
        with torch.no_grad():
            return {DEFAULT: (adapter.mask_term(masks[rows]),)}

    if name == "image":
        return lambda: once(None, slice(None))
    if name == "remembered":
        kv_cache: KVCache = {}
        once(FrameContext(1, term(slice(1)), cache_out=kv_cache), slice(1))
        later = slice(1, None)
        return lambda: once(FrameContext(frames - 1, term(later), kv_cache, first_index=1), later)
    return lambda: once(FrameContext(frames, term(slice(None))), slice(None))


def load_models(size: str) -> tuple[Any, Any, int]:
    """UNet, adapter and latent side: "tiny" is the shipped pack, "middle" random weights of 45 M."""
    import torch
    from diffusers import UNet2DConditionModel

    from mvmodel.model.adapter import MotionMaskAdapter

    torch.manual_seed(0)
    if size == "tiny":
        from mvmodel.packs import load_pack

        unet, side = load_pack("tiny").unet(), 16
    else:
        unet = UNet2DConditionModel(
            block_out_channels=(128, 256, 384),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D",) * 3,
            up_block_types=("CrossAttnUpBlock2D",) * 3,
            cross_attention_dim=256,
            attention_head_dim=8,
        ).eval()
        side = 24
    return unet, MotionMaskAdapter.for_unet(unet).eval(), side
