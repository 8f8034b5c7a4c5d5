"""The user's own masks of an ingested clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.files import read_masks, resize_to_clip
from mvmodel.masks.sequence import MaskSequence
from mvmodel.video.sampling import crop_to_square


def load_clip_masks(folder: Path, row: Mapping[str, Any]) -> MaskSequence | None:
    """The user's own masks of an ingested clip, sampled and cropped as its frames were. None if there are none.

    Args:
        folder: The folder that was ingested.
        row: The clip's row of the catalogue.

    Raises:
        InputError: There is neither one mask per frame of the source nor one per frame of the clip, or the masks have
            another aspect ratio.
    """
    if not row["masks"]:
        return None
    path = Path(folder) / str(row["masks"])
    sequence = read_masks(path)
    indices_by_count = {
        int(row["source_frames"]): np.asarray(row["sampled"], int),
        int(row["frames"]): np.arange(row["frames"]),
    }
    if sequence.frames not in indices_by_count:
        raise InputError(
            f"{path} has {sequence.frames} masks, but {row['file']} has {row['source_frames']} frames "
            f"(the clip made of it {row['frames']}); give one mask a frame"
        )
    masks = sequence.masks[indices_by_count[sequence.frames]]
    source_size = (int(row["source_height"]), int(row["source_width"]))
    if masks.shape[1:] not in (source_size, (row["height"], row["width"])):
        masks = resize_to_clip(path, masks, source_size)
    side = int(row["height"])
    return MaskSequence(np.stack([crop_to_square(mask, side) for mask in masks]), float(row["fps"]))
