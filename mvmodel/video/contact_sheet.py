"""Contact sheets: the frames of one or several videos side by side in a single picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image

_WHITE = 255


def contact_sheet(
    frames: np.ndarray | Sequence[np.ndarray], masks: np.ndarray | None = None, columns: int = 8, gap: int = 0
) -> PIL.Image.Image:
    """One picture of all frames in reading order. With masks, a row of masks is under each row of frames.

    Args:
        frames: uint8 RGB frames (height, width, 3) of one size, at least one.
        masks: bool (frames, height, width) of any size, drawn white on black.
        columns: Frames per row.
        gap: White pixels between frames of a row.
    """
    height, width = frames[0].shape[:2]
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    row_height = height * (1 if masks is None else 2)
    sheet = np.full((rows * row_height, columns * (width + gap) - gap, 3), _WHITE, np.uint8)
    for index, frame in enumerate(frames):
        top, left = index // columns * row_height, index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = frame
        if masks is not None:
            mask = PIL.Image.fromarray(mask_to_picture(masks[index]))
            resized = mask.resize((width, height), PIL.Image.Resampling.NEAREST)
            sheet[top + height : top + 2 * height, left : left + width] = resized
    return PIL.Image.fromarray(sheet)


def mask_to_picture(masks: np.ndarray) -> np.ndarray:
    """Masks, bool (..., height, width), as white on black: uint8 RGB (..., height, width, 3)."""
    return np.repeat(masks[..., None] * np.uint8(255), 3, axis=-1)
