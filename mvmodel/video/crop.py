"""Which part of a picture a clip shows: a window of the clip's shape that stays still and holds the foreground.

The picture is scaled without distortion until it covers the clip, and the window slides over it. If the foreground is
larger than the window, the picture is scaled down further and black bars fill the rest, where that is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from mvmodel.picture_size import PictureSize

CropReason = Literal["whole", "centre", "masks", "saliency"]
"""What a window follows: nothing is cut off, the picture's centre, the user's masks, or what moves."""
_SPECK = 0.005
"""Share of a mask at each of its edges that may lie outside the window: stray pixels do not move it."""
_CLEARLY_SALIENT = 0.5
"""Less salient pixels do not count."""
_HELD_SHARE = 0.9
"""A window that holds this share of what is salient holds the foreground."""
_MIN_GAIN = 0.15
"""A window beside the middle must hold this much more of what is salient."""


@dataclass(frozen=True)
class Box:
    """A rectangle in shares of a picture's width and height, 0..1."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Crop:
    """How a picture becomes a clip's frame: it is scaled, and a window of the clip's size is cut out of it.

    scaled_width, scaled_height: the scaled picture in pixels. left, top: the window's corner on it, in pixels; negative
    where black bars surround the picture. follows: what the window follows.
    """

    scaled_width: int
    scaled_height: int
    left: int
    top: int
    follows: CropReason

    def describe(self, width: int, height: int, size: PictureSize) -> dict[str, Any]:
        """The window in pixels of a source of `width` x `height`: left, top, width, height; and follows."""
        horizontal, vertical = width / self.scaled_width, height / self.scaled_height
        return {
            "left": round(self.left * horizontal),
            "top": round(self.top * vertical),
            "width": round(size.width * horizontal),
            "height": round(size.height * vertical),
            "follows": self.follows,
        }

    def to_row(self) -> dict[str, int | str]:
        """The crop as columns of a catalogue."""
        return {
            "scaled_width": self.scaled_width,
            "scaled_height": self.scaled_height,
            "crop_left": self.left,
            "crop_top": self.top,
            "crop_follows": self.follows,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Crop:
        """The crop of a catalogue's row."""
        scaled_width, scaled_height = int(row["scaled_width"]), int(row["scaled_height"])
        return cls(scaled_width, scaled_height, int(row["crop_left"]), int(row["crop_top"]), row["crop_follows"])


class ForegroundTooLarge(ValueError):
    """The foreground does not fit into any window of the clip's shape. width, height: what it needs, in shares."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(f"the foreground needs {width:.0%} of the width and {height:.0%} of the height")
        self.width, self.height = width, height


def center_crop(width: int, height: int, size: PictureSize, pixel_aspect: float = 1.0) -> Crop:
    """The window in the middle of a picture of `width` x `height` pixels.

    pixel_aspect: width of one of its pixels divided by its height; pixels of the clip are square.
    """
    display_width = width * pixel_aspect
    scale = max(size.width / display_width, size.height / height)
    scaled_width, scaled_height = max(size.width, round(display_width * scale)), max(size.height, round(height * scale))
    left, top = (scaled_width - size.width) // 2, (scaled_height - size.height) // 2
    follows: CropReason = "centre" if (scaled_width, scaled_height) != (size.width, size.height) else "whole"
    return Crop(scaled_width, scaled_height, left, top, follows)


def choose_crop(
    width: int,
    height: int,
    size: PictureSize,
    foreground: Box | None = None,
    follows: CropReason = "masks",
    pixel_aspect: float = 1.0,
    letterbox: bool = False,
) -> Crop:
    """The window that holds the foreground: in the picture's middle if that is enough, else around the foreground.

    Args:
        width: Of the picture in pixels.
        height: Of the picture in pixels.
        size: The clip's size.
        foreground: Where the foreground is in all frames together, or None if that is not known.
        follows: What says where the foreground is.
        pixel_aspect: Width of one of the picture's pixels divided by its height.
        letterbox: Scale the picture down, with black bars, until the foreground fits.

    Raises:
        ForegroundTooLarge: It does not fit into the window, and `letterbox` is False.
    """
    crop = center_crop(width, height, size, pixel_aspect)
    if foreground is None:
        return crop
    box_width = (foreground.right - foreground.left) * crop.scaled_width
    box_height = (foreground.bottom - foreground.top) * crop.scaled_height
    scaled = (crop.scaled_width, crop.scaled_height)
    if box_width > size.width + 0.5 or box_height > size.height + 0.5:
        if not letterbox:
            raise ForegroundTooLarge(foreground.right - foreground.left, foreground.bottom - foreground.top)
        contain = min(size.width / crop.scaled_width, size.height / crop.scaled_height)
        factor = max(min(size.width / box_width, size.height / box_height), contain)
        scaled = (max(1, round(crop.scaled_width * factor)), max(1, round(crop.scaled_height * factor)))
    left = _slide(scaled[0], size.width, foreground.left, foreground.right)
    top = _slide(scaled[1], size.height, foreground.top, foreground.bottom)
    following_crop = Crop(*scaled, left, top, follows)
    is_centre = (*scaled, left, top) == (crop.scaled_width, crop.scaled_height, crop.left, crop.top)
    return crop if is_centre else following_crop


def _slide(length: int, window: int, start: float, end: float) -> int:
    """Where a window of `window` pixels begins on a picture of `length`; start, end: the foreground in shares.

    The middle is kept where it holds the foreground. A picture shorter than the window is in the window's middle.
    """
    if length <= window:
        return -((window - length) // 2)
    middle = (length - window) // 2
    if start * length >= middle - 0.25 and end * length <= middle + window + 0.25:
        return middle
    return min(max(round((start + end) * length / 2 - window / 2), 0), length - window)


def crop_picture(picture: np.ndarray, crop: Crop, shape: tuple[int, int], pixel_aspect: float = 1.0) -> np.ndarray:
    """Scales a picture and cuts the window out of it.

    A mask is resampled by area and thresholded at one half, so that frame and mask stay aligned.

    Args:
        picture: A frame, uint8 (height, width, 3), or a mask, bool (height, width).
        crop: The window.
        shape: (height, width) of the result.
        pixel_aspect: Width of one of the picture's pixels divided by its height.
    """
    is_mask = picture.dtype == np.bool_
    height, width = picture.shape[:2]
    scaled_size = (crop.scaled_width, crop.scaled_height)
    scaled = picture.astype(np.float32) if is_mask else picture
    if scaled_size != (width, height):
        is_smaller = crop.scaled_height < height or crop.scaled_width < round(width * pixel_aspect)
        scaled = cv2.resize(scaled, scaled_size, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
    left, top = max(crop.left, 0), max(crop.top, 0)
    part = scaled[top : top + shape[0], left : left + shape[1]]
    if part.shape[:2] != shape:
        framed = np.zeros((*shape, *part.shape[2:]), part.dtype)
        at_x, at_y = max(-crop.left, 0), max(-crop.top, 0)
        framed[at_y : at_y + part.shape[0], at_x : at_x + part.shape[1]] = part
        part = framed
    return part >= 0.5 if is_mask else np.ascontiguousarray(part)


def foreground_box(masks: np.ndarray) -> Box | None:
    """Where the foreground is in all masks together; None if they are all empty.

    masks: bool or float 0..1 (frames, height, width). A share of `_SPECK` of every mask may stick out at each edge.
    """
    spans = []
    for mask in masks:
        if not mask.any():
            continue
        spans.append([edge for axis in (0, 1) for edge in _span(mask.sum(axis=axis, dtype=np.float64))])
    if not spans:
        return None
    lows, highs = np.min(spans, axis=0), np.max(spans, axis=0)
    return Box(float(lows[0]), float(lows[2]), float(highs[1]), float(highs[3]))


def _span(mass: np.ndarray) -> tuple[float, float]:
    """First and last place, as shares of the length, between which nearly all of a mask's mass along an axis lies."""
    cumulative = np.cumsum(mass) / mass.sum()
    first = int(np.searchsorted(cumulative, _SPECK, side="right"))
    last = int(np.searchsorted(cumulative, 1 - _SPECK, side="left"))
    return first / len(mass), (last + 1) / len(mass)


def describe_excess(size: PictureSize, width: int, height: int, excess: ForegroundTooLarge) -> str:
    """Why a foreground that is too large for a clip of `size` is refused, and what to do.

    width, height: of the source in square pixels.
    """
    needed_width, needed_height = excess.width * width, excess.height * height
    ratio = needed_width / needed_height
    if ratio > size.width / size.height:
        wider = f"{math.ceil(ratio * size.height / 64) * 64}x{size.height}"
    else:
        wider = f"{size.width}x{math.ceil(size.width / ratio / 64) * 64}"
    return (
        f"its foreground takes {needed_width:.0f}x{needed_height:.0f} of the {width}x{height} pixels through the clip, "
        f"which no {size} window holds; use another size, such as {wider}, or letterbox it (ingest: overflow, "
        f"--overflow letterbox)"
    )


def crop_by_saliency(
    width: int, height: int, size: PictureSize, maps: np.ndarray, pixel_aspect: float = 1.0
) -> tuple[Crop, float]:
    """The window that holds most of what is salient, and the share of it that it holds, 0..1.

    The middle is kept if it holds nearly all of it, or if another place holds little more.

    Args:
        width: Of the picture in pixels.
        height: Of the picture in pixels.
        size: The clip's size.
        maps: How salient each pixel is, float 0..1 (frames, h, w) of any size; every frame counts alike.
        pixel_aspect: Width of one of the picture's pixels divided by its height.
    """
    crop = center_crop(width, height, size, pixel_aspect)
    clear = np.where(maps >= _CLEARLY_SALIENT, maps, 0).astype(np.float64)
    totals = clear.sum(axis=(1, 2))
    if not totals.any():
        return crop, 1.0
    mean_map = (clear[totals > 0] / totals[totals > 0, None, None]).mean(axis=0)
    lengths, windows = (crop.scaled_width, crop.scaled_height), (size.width, size.height)
    axis = 0 if lengths[0] - windows[0] > lengths[1] - windows[1] else 1  # a covering picture slides along one axis
    mass = mean_map.sum(axis=axis)
    edges = np.linspace(0, lengths[axis], len(mass) + 1)
    cumulative = np.concatenate([[0.0], np.cumsum(mass)])
    starts = np.arange(lengths[axis] - windows[axis] + 1)
    shares = np.interp(starts + windows[axis], edges, cumulative) - np.interp(starts, edges, cumulative)
    middle, most = (lengths[axis] - windows[axis]) // 2, float(shares.max())
    if shares[middle] >= _HELD_SHARE or most < shares[middle] + _MIN_GAIN:
        return crop, float(shares[middle])
    good = starts[shares >= most - 0.002]
    offset = int(good[np.abs(good - np.median(good)).argmin()])
    left, top = (offset, crop.top) if axis == 0 else (crop.left, offset)
    return Crop(*lengths, left, top, "saliency"), most


def fit_whole(width: int, height: int, size: PictureSize, pixel_aspect: float = 1.0) -> Crop:
    """The whole picture with black bars at two sides."""
    return choose_crop(width, height, size, Box(0, 0, 1, 1), "whole", pixel_aspect, letterbox=True)
