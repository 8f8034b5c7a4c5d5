"""Frames as uint8 arrays, and as the tensors that image models take and return."""

from __future__ import annotations

import numpy as np
import torch

from mvmodel.errors import InputError


def frames_to_tensor(frames: np.ndarray) -> torch.Tensor:
    """uint8 (frames, height, width, 3) in 0..255 to float32 (frames, 3, height, width) in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def tensor_to_frames(tensor: torch.Tensor) -> np.ndarray:
    """Float (frames, 3, height, width) in -1..1, clamped, to uint8 (frames, height, width, 3) in 0..255."""
    scaled = (tensor.float().clamp(-1, 1) + 1) * 127.5
    frames: np.ndarray = scaled.round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return frames


def to_uint8(frames: np.ndarray) -> np.ndarray:
    """Float values in 0..1, clipped, to uint8 in 0..255; any shape.

    Raises InputError for values that are no numbers, which would become black without a word.
    """
    if np.isnan(frames).any():
        raise InputError(
            "the models made pictures whose values are no numbers: weights of the pack are damaged, or half precision "
            "overflowed, often in the autoencoder; fetch the pack again, or assemble it with another --vae"
        )
    out: np.ndarray = (np.clip(frames, 0, 1) * 255).round().astype(np.uint8)
    return out
