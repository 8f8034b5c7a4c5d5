"""Mask sequences to look at: every object in a colour of its own, as a moving picture and as a contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mvmodel.errors import InputError
from mvmodel.files import write_aside
from mvmodel.masks.sequence import MaskSequence
from mvmodel.video.contact_sheet import contact_sheet
from mvmodel.video.encode import write_mp4
from mvmodel.video.sampling import evenly_spaced_indices

INSTANCE_COLOURS = ((255, 196, 64), (88, 176, 255), (120, 220, 130), (240, 120, 160), (190, 150, 255), (230, 230, 230))
"""Of the first, second, .. object; they begin again after the last."""
_GROUND = (28, 30, 36)
_SHEET = 24
"""Most frames on a contact sheet."""


def colour_masks(sequence: MaskSequence, frames: np.ndarray | None = None, strength: float = 0.55) -> np.ndarray:
    """uint8 RGB (F, H, W, 3): the objects' colours on dark ground, or mixed into frames of the same size."""
    shape = (*sequence.masks.shape, 3)
    if frames is not None and frames.shape != shape:
        raise InputError(f"the frames are {frames.shape[:3]}, the masks {sequence.masks.shape}; give those of the clip")
    out = np.broadcast_to(np.array(_GROUND, np.uint8), shape).copy() if frames is None else frames.copy()
    for number, masks in enumerate(sequence.per_instance):
        colour = np.array(INSTANCE_COLOURS[number % len(INSTANCE_COLOURS)], float)
        share = 1.0 if frames is None else strength
        out[masks] = (out[masks] * (1 - share) + colour * share).astype(np.uint8)
    return out


def write_preview(path: Path, sequence: MaskSequence, frames: np.ndarray | None = None) -> tuple[Path, Path]:
    """Write a moving picture (.gif or .mp4) and NAME-sheet.png beside it; returns both paths.

    Raises InputError for another ending.
    """
    path = Path(path)
    shown = colour_masks(sequence, frames)
    if path.suffix.lower() == ".mp4":
        write_mp4(path, shown, sequence.fps)
    elif path.suffix.lower() == ".gif":
        pictures = [Image.fromarray(frame) for frame in shown]
        with write_aside(path) as aside:
            pictures[0].save(
                aside, save_all=True, append_images=pictures[1:], duration=max(20, round(1000 / sequence.fps)), loop=0
            )
    else:
        raise InputError(f"{path} should end in .gif or .mp4, the two forms of a preview")
    sheet = path.with_name(f"{path.stem}-sheet.png")
    with write_aside(sheet) as aside:
        contact_sheet(shown[evenly_spaced_indices(_SHEET, len(shown))]).save(aside)
    return path, sheet
