"""Saves and loads adapter folders: diffusers' `config.json` and half-precision safetensors."""

from __future__ import annotations

from pathlib import Path

import torch

from mvmodel.errors import PackError
from mvmodel.model.adapter import MotionMaskAdapter

WEIGHTS = "diffusion_pytorch_model.safetensors"
"""Name of the weights file in an adapter's folder."""


def load_adapter(folder: Path, dtype: torch.dtype = torch.float32) -> MotionMaskAdapter:
    """Loads an adapter folder with weights as `dtype`. Raises PackError if it is not an adapter folder."""
    folder = Path(folder)
    if not (folder / "config.json").is_file():  # diffusers would take the path for a name on the hub
        raise PackError(f"{folder} holds no motion adapter (no config.json); give the folder that training wrote")
    try:
        return MotionMaskAdapter.from_pretrained(folder, torch_dtype=dtype, use_safetensors=True).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise PackError(f"{folder} holds no motion adapter ({reason}); give the folder that training wrote") from error


def save_adapter(adapter: MotionMaskAdapter, folder: Path, frames: int) -> None:
    """Writes the adapter in half precision. `frames`: the clip length that it was trained at."""
    adapter.register_to_config(trained_frames=frames)
    half = MotionMaskAdapter.from_config(adapter.config)
    half.load_state_dict(adapter.state_dict())
    half.half().save_pretrained(folder, safe_serialization=True)
