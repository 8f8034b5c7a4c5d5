"""What a ControlNet is shown of a mask: a filled shape, an outline, edges, or a map of ADE20K's classes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mvmodel.backends.image_unet.ade20k import UNLABELLED, Color, find_object_color, find_place_color
from mvmodel.backends.instances import Instance
from mvmodel.errors import InputError
from mvmodel.packs.info import ControlKind

SCRIBBLE_WIDTH = 0.0125
"""Width of a scribble's line as a share of the picture's shorter side: 4 pixels of 320."""
SOFTEDGE_WIDTH = 0.01
"""Standard deviation of a soft edge, as a share of the picture's shorter side."""


def draw_control_picture(
    mask: np.ndarray, kind: ControlKind, prompt: str = "", instances: Sequence[Instance] | None = None
) -> np.ndarray:
    """Draw the control picture of one mask.

    Args:
        mask: bool (height, width), True is foreground.
        kind: `mask` is white on black. `scribble` and `softedge` draw the outline in white on black, as a line or
            blurred. `canny` draws its edges one pixel wide. `segmentation` fills the object, and the background where
            the prompt names one, with the colours of their classes in ADE20K.
        prompt: Names the object and the background, for `segmentation`.
        instances: The objects, for a prompt with several; their outlines and colours are kept apart. Only their first
            masks count.

    Returns:
        uint8 RGB (height, width, 3).

    Raises:
        InputError: `segmentation` with an object for which ADE20K has no class.
    """
    if kind == "mask":
        return np.repeat(mask.astype(np.uint8)[:, :, None] * np.uint8(255), 3, axis=2)
    shapes = [instance.masks[0] for instance in instances] if instances else [mask]
    if kind == "segmentation":
        words = [instance.words for instance in instances] if instances else [prompt]
        return _draw_classes(shapes, [_object_color(text) for text in words], find_place_color(prompt) or UNLABELLED)
    grey = np.maximum.reduce([_draw_edges(shape, kind) for shape in shapes])
    return np.repeat(grey[:, :, None], 3, axis=2)


def _draw_edges(shape: np.ndarray, kind: ControlKind) -> np.ndarray:
    """The outline of a shape as `kind` draws it, uint8 (height, width); the picture's border is no outline."""
    filled, side = shape.astype(np.uint8), min(shape.shape)
    if kind == "canny":
        return np.asarray(cv2.Canny(filled * 255, 100, 200))
    width = max(1, round(SCRIBBLE_WIDTH * side))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * ((width + 1) // 2) + 1,) * 2)
    dilated = cv2.dilate(filled, kernel, borderType=cv2.BORDER_REPLICATE)
    eroded = cv2.erode(filled, kernel, borderType=cv2.BORDER_REPLICATE)
    line = (dilated - eroded) * np.uint8(255)
    if kind == "scribble":
        return np.asarray(line)
    blurred = cv2.GaussianBlur(line.astype(np.float32), (0, 0), max(0.5, SOFTEDGE_WIDTH * side))
    return np.asarray(np.clip(blurred * (255 / max(float(blurred.max()), 1.0)), 0, 255).astype(np.uint8))


def _draw_classes(shapes: Sequence[np.ndarray], colors: Sequence[Color], background: Color) -> np.ndarray:
    picture = np.empty((*shapes[0].shape, 3), np.uint8)
    picture[:] = background
    for shape, color in zip(shapes, colors, strict=True):
        picture[shape] = color
    return picture


def _object_color(words: str) -> Color:
    color = find_object_color(words)
    if color is None:
        raise InputError(
            f"{words!r} names none of the 150 classes of ADE20K that a segmentation ControlNet knows; use another word "
            f"for the object, or set generation.control to scribble with a ControlNet that was trained on it"
        )
    return color
