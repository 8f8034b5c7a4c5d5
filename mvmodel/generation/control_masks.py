"""The masks that a video follows, from the files of the user: read, bound to words, and fitted to the video's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvmodel.errors import InputError
from mvmodel.generation.requests import bind_instances
from mvmodel.masks import MaskSequence
from mvmodel.masks.files import read_masks
from mvmodel.masks.fit import Fit, describe_fit, fit_masks
from mvmodel.masks.limits import check_mask_size
from mvmodel.picture_size import PictureSize


@dataclass(frozen=True)
class ControlMasks:
    """The masks to follow. sequence: at the video's size. unfitted: as they were read. remark: how they were fitted."""

    sequence: MaskSequence
    unfitted: MaskSequence
    remark: str


def fit_control_masks(sequence: MaskSequence, size: PictureSize, fit: Fit = "crop") -> ControlMasks:
    """Masks of any shape at `size`, all objects alike. Raises InputError for more frames than a video may have."""
    count = len(sequence.per_instance)
    check_mask_size("the video that the masks ask for", count, sequence.frames, size.height, size.width)
    return ControlMasks(fit_masks(sequence, size, fit), sequence, describe_fit(sequence, size, fit))


def read_object_masks(objects: Sequence[tuple[str, Path]], prompt: str, every: int | None = None) -> MaskSequence:
    """One sequence of several objects, each from its own file and bound to its words of the prompt.

    objects: (words, file of masks). every: the masks are of every n-th frame; those between are interpolated. Raises
    InputError if the objects' masks differ in length or size, or if the prompt does not contain the words of every
    object.
    """
    names, sequences = [words for words, _ in objects], [read_masks(file, every=every) for _, file in objects]
    if len({sequence.frames for sequence in sequences}) > 1:
        lengths = ", ".join(f"{name} {sequence.frames}" for name, sequence in zip(names, sequences, strict=True))
        raise InputError(f"the objects' masks differ in length ({lengths}); give all of them the same number of frames")
    shapes = {f"{sequence.width}x{sequence.height}" for sequence in sequences}
    if len(shapes) > 1:
        raise InputError(f"the objects' masks have the sizes {' and '.join(sorted(shapes))}; give all of them one size")
    stacked = np.stack([sequence.masks for sequence in sequences])
    merged = MaskSequence.from_instances(stacked, sequences[0].fps, names)
    if bind_instances(merged, prompt) is None:
        raise InputError(f"the prompt {prompt!r} does not contain {' and '.join(map(repr, names))}; it should")
    return merged
