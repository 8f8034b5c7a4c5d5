"""Mask sequences from NumPy files: what `MaskSequence.save` wrote, and arrays of other programs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.labels import labels_from_grey
from mvmodel.masks.pictures import sequence_of_labels
from mvmodel.masks.sequence import DEFAULT_FPS, MaskSequence
from mvmodel.video.archives import NPZ_ERRORS, check_npy, check_npz

_ERRORS = (*NPZ_ERRORS, TypeError)
_MAX_CHANNELS = 4
"""Last axes up to this length that hold a mask in several equal channels."""


def read_npz(path: Path) -> MaskSequence:
    """The masks of an .npz: the array `masks`, or else its first one. Raises InputError naming the file."""
    try:
        check_npz(path)
        with np.load(path, allow_pickle=False) as data:
            if "bits" in data.files:
                return MaskSequence.load(path)
            masks = np.asarray(data["masks" if "masks" in data.files else data.files[0]])
            fps = float(data["fps"]) if "fps" in data.files and data["fps"].size == 1 else DEFAULT_FPS
    except _ERRORS as error:
        raise InputError(f"{path} is no readable .npz of masks ({error}); save a bool array in it") from error
    return _sequence_of_array(path, masks, fps)


def read_npy(path: Path) -> MaskSequence:
    """The masks of an .npy, an array without a frame rate. Raises InputError naming the file."""
    try:
        check_npy(path)
        masks = np.load(path, allow_pickle=False)
    except _ERRORS as error:
        raise InputError(f"{path} is no readable .npy of masks ({error}); save a bool array in it") from error
    return _sequence_of_array(path, np.asarray(masks), DEFAULT_FPS)


def read_confidence(path: Path, frames: int) -> list[float] | None:
    """The segmenter's score of every mask, 0..1, if the path is an .npz of `masks extract` with so many; else None."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return None
    try:
        check_npz(path)
        with np.load(path, allow_pickle=False) as data:
            scores = np.asarray(data["confidence"], float) if "confidence" in data.files else np.zeros(0)
    except _ERRORS:
        return None
    return scores.tolist() if scores.shape == (frames,) and np.isfinite(scores).all() else None


def _sequence_of_array(path: Path, array: np.ndarray, fps: float) -> MaskSequence:
    """The masks of an array (frames, height, width), or of a stack (objects, frames, height, width).

    An axis of length 1 before or behind the pixels is a channel, and so are equal channels behind them. Raises
    InputError for anything else.
    """
    masks = _drop_channels(array)
    if masks.dtype.kind not in "buif" or 0 in masks.shape or masks.ndim not in (3, 4):
        raise InputError(
            f"{path} holds {array.dtype} {array.shape}; give numbers or bool (frames, height, width), or (objects, "
            f"frames, height, width)"
        )
    if masks.ndim == 4 and masks.shape[0] == 1:
        masks = masks[0]
    if masks.ndim == 3:
        return sequence_of_labels(path, lambda: labels_from_grey(masks), fps)
    if masks.shape[0] > masks.shape[1]:
        raise InputError(
            f"{path} holds {masks.shape}, which looks like (frames, objects, height, width); give (objects, frames, "
            f"height, width): masks.swapaxes(0, 1)"
        )
    objects = [sequence_of_labels(path, partial(labels_from_grey, stack), fps).masks for stack in masks]
    return MaskSequence.from_instances(np.stack(objects), fps)


def _drop_channels(array: np.ndarray) -> np.ndarray:
    if array.ndim != 4:
        return array
    if array.shape[1] == 1 and array.shape[0] > 1:
        return array[:, 0]
    channels = array.shape[3]
    if channels <= _MAX_CHANNELS and channels < min(array.shape[1:3]):
        colours = array[..., :3]
        if channels == 1 or (colours == colours[..., :1]).all():
            return array[..., 0]
    return array
