"""Loads the open_clip model of a pack's scorer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import open_clip
import torch
from PIL import Image

from mvmodel.errors import PackError
from mvmodel.packs.info import PackInfo

WHOLE_FRAMES = "longest"
"""open_clip's mode of resizing: frames that are no squares are padded. Its default, "shortest", cuts off their ends."""


class OpenClip(NamedTuple):
    """An open_clip model, its validation transform and tokenizer, and which model it is."""

    model: torch.nn.Module
    preprocess: Callable[[Image.Image], torch.Tensor]
    tokenizer: Callable[[list[str]], torch.Tensor]
    name: str
    weights: Path


def load_open_clip(pack_folder: Path, pack: PackInfo) -> OpenClip:
    """The model that `pack.json` names as the scorer.

    Raises PackError if `pack.json` names none, or none with safetensors weights.
    """
    info = pack.scorer
    if info.folder:
        folder = pack_folder / info.folder
        name, weights = f"{pack.name}/{info.folder}", folder / "open_clip_model.safetensors"
        if not weights.is_file():  # open_clip would read a pickled file instead
            raise PackError(f"{weights} does not exist; fetch or assemble the pack again")
        address = f"local-dir:{folder.resolve()}"
        model, _, preprocess = open_clip.create_model_and_transforms(address, image_resize_mode=WHOLE_FRAMES)
        return OpenClip(model, preprocess, open_clip.get_tokenizer(address), name, weights)
    if not info.model or not info.checkpoint:
        raise PackError(f"{pack_folder}/pack.json names neither a scorer folder nor a model with its checkpoint")
    weights = pack_folder / info.checkpoint
    if weights.suffix != ".safetensors":
        raise PackError(f"{weights} is not a .safetensors file; pickled checkpoints can run code and are not loaded")
    model, _, preprocess = open_clip.create_model_and_transforms(
        info.model,
        pretrained=str(weights),
        force_quick_gelu="openai" in info.checkpoint,
        image_resize_mode=WHOLE_FRAMES,
    )
    return OpenClip(model, preprocess, open_clip.get_tokenizer(info.model), info.model, weights)
