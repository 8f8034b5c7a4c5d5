"""Builds segment-anything models: the published sizes, and the tiny one that the tiny pack contains."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from mvmodel.errors import PackError
from mvmodel.segmentation.sam_attention import fuse_attention

TINY_SIDE = 128
"""Height and width, in pixels, of the tiny encoder's input."""
_PATCH = 8
_PROMPT_DIM = 64

_ENCODER_WIDTHS = {96: "tiny", 768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
"""Width of the image encoder -> model type."""
MODEL_TYPES: tuple[str, ...] = ("tiny", "vit_b", "vit_l", "vit_h")


def build_tiny_sam() -> Sam:
    """An untrained Sam for 128x128 pictures: the published classes at small sizes, 0.7 million parameters.

    The embedding is (64, 16, 16) and low-resolution masks are 64x64. A prompt gives one mask or three. Pixel statistics
    are SAM's own; pictures are 0..255.
    """
    tokens = TINY_SIDE // _PATCH
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=TINY_SIDE,
            patch_size=_PATCH,
            embed_dim=96,
            depth=4,
            num_heads=4,
            mlp_ratio=4,
            out_chans=_PROMPT_DIM,
            qkv_bias=True,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=0,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=_PROMPT_DIM,
            image_embedding_size=(tokens, tokens),
            input_image_size=(TINY_SIDE, TINY_SIDE),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=_PROMPT_DIM, mlp_dim=128, num_heads=4),
            transformer_dim=_PROMPT_DIM,
            iou_head_depth=3,
            iou_head_hidden_dim=_PROMPT_DIM,
        ),
    ).eval()


def _read_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    if checkpoint.suffix == ".safetensors":
        state: dict[str, torch.Tensor] = load_file(checkpoint)
    else:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def find_model_type(checkpoint: Path) -> str:
    """The model type of a checkpoint, by the width of its image encoder.

    Raises:
        PackError: The file is unreadable, or no segment-anything checkpoint.
    """
    try:
        state = _read_weights(checkpoint)
    except Exception as error:  # torch, pickle and safetensors each raise their own kinds
        reason = str(error).splitlines()[0]
        raise PackError(f"{checkpoint} is not a segment-anything checkpoint ({reason})") from error
    position = state.get("image_encoder.pos_embed")
    model_type = None if position is None else _ENCODER_WIDTHS.get(int(position.shape[-1]))
    if model_type is None:
        raise PackError(f"{checkpoint} is not a segment-anything checkpoint of type {', '.join(MODEL_TYPES)}")
    return model_type


def load_sam(model_type: str, checkpoint: Path | None) -> Sam:
    """A Sam of `model_type` ("tiny", "vit_b", "vit_l", "vit_h"), in evaluation mode, float32, on the CPU.

    Args:
        model_type: The size.
        checkpoint: A .safetensors file, or a .pth state dict (read without running pickled code). None leaves the
            weights random.

    Raises:
        PackError: Names the file if it is missing, unreadable or of another size.
    """
    if model_type not in MODEL_TYPES:
        raise PackError(f"there is no segment-anything model type {model_type!r}; use one of {', '.join(MODEL_TYPES)}")
    sam: Sam = build_tiny_sam() if model_type == "tiny" else sam_model_registry[model_type]()
    if model_type != "tiny":
        fuse_attention(sam.image_encoder)
    if checkpoint is None:
        return sam.eval()
    checkpoint = Path(checkpoint)
    if not checkpoint.is_file():
        raise PackError(f"the segmenter's weights {checkpoint} do not exist; put the {model_type} checkpoint there")
    try:
        sam.load_state_dict(_read_weights(checkpoint))
    except Exception as error:  # torch, pickle and safetensors each raise their own kinds
        reason = str(error).splitlines()[0]
        raise PackError(f"{checkpoint} is not a {model_type} segment-anything checkpoint ({reason})") from error
    return sam.eval()
