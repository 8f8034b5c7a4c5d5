"""Fits masks of one shape into another, by a stated rule.

crop      scaled until they cover the new shape; the window is in the middle, or around the foreground if that would be
          cut. A foreground larger than the window is scaled down until it fits, so nothing of it is ever lost.
pad       scaled until all of the picture fits; the rest is background.
stretch   scaled to the new width and height, which changes the foreground's proportions.

Masks of the same shape are only scaled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.edit import map_instances, scale_camera
from mvmodel.masks.sequence import MaskSequence
from mvmodel.picture_size import PictureSize
from mvmodel.video.crop import Crop, choose_crop, crop_picture, fit_whole, foreground_box

Fit = Literal["crop", "pad", "stretch"]
_SAME_SHAPE = 0.02
"""Largest relative difference of two aspect ratios that count as the same."""


def choose_window(sequence: MaskSequence, size: PictureSize, fit: Fit = "crop") -> Crop:
    """The window that fits masks into `size`; `crop_picture` applies it to masks and to frames of their shape."""
    if fit == "stretch" or has_shape(sequence.width, sequence.height, size):
        return Crop(size.width, size.height, 0, 0, "whole")
    if fit == "pad":
        return fit_whole(sequence.width, sequence.height, size)
    return choose_crop(sequence.width, sequence.height, size, foreground_box(sequence.masks), letterbox=True)


def fit_masks(sequence: MaskSequence, size: PictureSize, fit: Fit = "crop") -> MaskSequence:
    """The masks at `size`, instances included.

    Raises InputError if the foreground is too small to be seen there.
    """
    if (sequence.height, sequence.width) == size.shape:
        return sequence
    window = choose_window(sequence, size, fit)
    fitted = map_instances(sequence, lambda masks: np.stack([crop_picture(mask, window, size.shape) for mask in masks]))
    if sequence.masks.any() and not fitted.masks.any():
        raise InputError(
            f"the foreground of {sequence.width}x{sequence.height} masks is too small to be seen at {size}; "
            f"use a larger size"
        )
    shares = window.scaled_width / size.width, window.scaled_height / size.height
    return replace(fitted, camera=scale_camera(sequence, *shares))


def describe_fit(sequence: MaskSequence, size: PictureSize, fit: Fit = "crop") -> str:
    """A sentence on how masks of another shape are fitted into `size`; "" if they have its shape."""
    if has_shape(sequence.width, sequence.height, size):
        return ""
    start = f"masks of {sequence.width}x{sequence.height} are fitted into {size}"
    if fit == "stretch":
        return f"{start} by stretching"
    window = choose_window(sequence, size, fit).describe(sequence.width, sequence.height, size)
    if fit == "pad":
        return f"{start} by padding"
    place = {"centre": "in the middle", "whole": "in the middle"}.get(window["follows"], "around the foreground")
    return f"{start} by a window of {window['width']}x{window['height']} {place} (--fit pad or stretch does otherwise)"


def has_shape(width: int, height: int, size: PictureSize) -> bool:
    """Whether a picture of `width` x `height` has the aspect ratio of `size`."""
    return abs(width * size.height / (height * size.width) - 1) <= _SAME_SHAPE
