"""Latents of generated first frames, kept beside the pictures."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from mvmodel.files import atomic_write


def write_first_latents(png: Path, picture: np.ndarray, latents: np.ndarray) -> None:
    """Write NAME.latents.npz beside NAME.png. picture: uint8 (H, W, 3), what the latents (C, h, w) were decoded to."""
    with atomic_write(png.with_suffix(".latents.npz")) as temporary, open(temporary, "wb") as file:
        np.savez(file, latents=latents, picture=np.array(_hash(picture)))


def read_first_latents(png: Path, picture: np.ndarray) -> np.ndarray | None:
    """The latents of this picture, float32 (C, h, w); None if there are none, or if the picture has been replaced."""
    file = png.with_suffix(".latents.npz")
    if not file.exists():
        return None
    with np.load(file, allow_pickle=False) as data:
        latents: np.ndarray = data["latents"]
        return latents if str(data["picture"]) == _hash(picture) else None


def _hash(picture: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()
