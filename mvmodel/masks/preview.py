"""Previews of mask sequences, with a colour per object: an animation and a contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mvmodel.errors import InputError
from mvmodel.files import atomic_write
from mvmodel.masks.sequence import MaskSequence
from mvmodel.video.contact_sheet import contact_sheet
from mvmodel.video.encode import write_mp4
from mvmodel.video.sampling import evenly_spaced_indices
from mvmodel.video.video_files import write_gif

INSTANCE_COLOURS = ((255, 196, 64), (88, 176, 255), (120, 220, 130), (240, 120, 160), (190, 150, 255), (230, 230, 230))
"""Colours of the first, second, ... object. They repeat after the last."""
_BACKGROUND_COLOUR = (28, 30, 36)
_MAX_SHEET_FRAMES = 24


def colour_masks(sequence: MaskSequence, frames: np.ndarray | None = None, strength: float = 0.55) -> np.ndarray:
    """The objects' colours on a dark background, or mixed into frames of the same size.

    Returns uint8 RGB (frames, height, width, 3). Raises InputError if frames and masks differ in size or number.

    Args:
        sequence: The masks.
        frames: uint8 RGB (frames, height, width, 3), or None for a dark background.
        strength: Weight of the colours on frames, 0..1.
    """
    shape = (*sequence.masks.shape, 3)
    if frames is not None and frames.shape != shape:
        raise InputError(f"the frames are {frames.shape[:3]}, the masks {sequence.masks.shape}; give those of the clip")
    out = np.broadcast_to(np.array(_BACKGROUND_COLOUR, np.uint8), shape).copy() if frames is None else frames.copy()
    for number, masks in enumerate(sequence.per_instance):
        colour = np.array(INSTANCE_COLOURS[number % len(INSTANCE_COLOURS)], float)
        weight = 1.0 if frames is None else strength
        out[masks] = (out[masks] * (1 - weight) + colour * weight).astype(np.uint8)
    return out


def write_preview(path: Path, sequence: MaskSequence, frames: np.ndarray | None = None) -> tuple[Path, Path]:
    """Writes an animation (.gif or .mp4), and NAME-sheet.png next to it. Returns both paths.

    Raises InputError for another suffix.
    """
    path = Path(path)
    coloured = colour_masks(sequence, frames)
    if path.suffix.lower() == ".mp4":
        write_mp4(path, coloured, sequence.fps)
    elif path.suffix.lower() == ".gif":
        write_gif(path, coloured, sequence.fps)
    else:
        raise InputError(f"{path} should end in .gif or .mp4, the two formats of a preview")
    sheet = path.with_name(f"{path.stem}-sheet.png")
    with atomic_write(sheet) as temporary_path:
        contact_sheet(coloured[evenly_spaced_indices(_MAX_SHEET_FRAMES, len(coloured))]).save(temporary_path)
    return path, sheet
