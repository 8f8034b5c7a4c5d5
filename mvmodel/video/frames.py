"""Frames of any video that a user hands over: one function to read them, and exact frames in an .npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mvmodel.errors import InputError
from mvmodel.files import atomic_write
from mvmodel.video.archives import NPZ_ERRORS, check_npz
from mvmodel.video.config import DecodeLimits
from mvmodel.video.decode import decode_video
from mvmodel.video.guard import run_guarded


def read_frames(path: Path) -> np.ndarray:
    """Frames of a video file, a GIF, a folder of images, or an .npz that holds `frames`.

    Returns uint8 RGB (frames, height, width, 3). Raises InputError naming the file if it cannot be read.
    """
    path = Path(path)
    if path.suffix != ".npz":
        return decode_video(path).frames
    return run_guarded(path, DecodeLimits(), _read_archive, path)


def _read_archive(path: Path) -> np.ndarray:
    try:
        check_npz(path)
        with np.load(path, allow_pickle=False) as data:
            frames: np.ndarray = data["frames"]
    except NPZ_ERRORS as error:
        raise InputError(f"{path} holds no video ({error}); give an .npz that `mvmodel generate` wrote") from error
    return frames


def check_frames(frames: np.ndarray) -> None:
    """Raises InputError if frames are not uint8 (frames, height, width, 3) with at least one pixel."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise InputError(f"frames are uint8 (frames, height, width, 3), not {frames.dtype} {frames.shape}")


def write_frames(path: Path, frames: np.ndarray) -> Path:
    """Writes frames, uint8 RGB (frames, height, width, 3), without any loss to a compressed .npz."""
    with atomic_write(Path(path)) as temporary_path, open(temporary_path, "wb") as file:
        np.savez_compressed(file, frames=frames)
    return Path(path)
