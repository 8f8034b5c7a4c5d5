"""The frames of a clip: decoded, and cropped to a window that holds the foreground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from mvmodel.video.clips import Clip
from mvmodel.video.config import IngestConfig
from mvmodel.video.containers import UnusableClip
from mvmodel.video.crop import (
    Box,
    Crop,
    ForegroundTooLarge,
    center_crop,
    choose_crop,
    crop_by_saliency,
    crop_picture,
    describe_excess,
    fit_whole,
)
from mvmodel.video.decode import iterate_frames
from mvmodel.video.sources import VideoSource

SaliencyFinder = Callable[[np.ndarray], np.ndarray]
"""Frames, uint8 RGB (frames, height, width, 3) -> how much each pixel moves against the camera, float 0..1 (frames, h,
w) of any size."""
_SMALL_LOSS = 0.02
"""If the window leaves out a smaller share of the picture, it is in the middle."""
_HELD_SHARE = 0.75
"""If a window holds less of what moves, the clip's row says so."""


def crop_to_masks(source: VideoSource, clip: Clip, foreground: Box | None, config: IngestConfig) -> Crop:
    """The window that a clip's own masks need.

    Args:
        source: Where the clip is from, for messages.
        clip: The clip.
        foreground: Where its masks are in all frames together; None if they were drawn on the clip as it is cropped
            from the middle.
        config: Size, and what happens to a foreground that does not fit.

    Raises:
        UnusableClip: The foreground does not fit, and `config.overflow` says that such clips are refused.
    """
    info, size = clip.info, config.size
    letterbox = config.overflow == "letterbox"
    try:
        return choose_crop(info.width, info.height, size, foreground, "masks", info.pixel_aspect, letterbox)
    except ForegroundTooLarge as error:
        display_width = round(info.width * info.pixel_aspect)
        reason = describe_excess(size, display_width, info.height, error)
        raise UnusableClip(source.path, reason, info) from error


def read_clip_frames(
    source: VideoSource, clip: Clip, config: IngestConfig, find_saliency: SaliencyFinder | None = None
) -> tuple[Clip, np.ndarray]:
    """The clip with its window, and its frames, uint8 RGB (frames, height, width, 3).

    Args:
        source: Where the clip is from.
        clip: The clip. If its window is not chosen yet, it follows what moves.
        config: Size and limits.
        find_saliency: Finds what moves. None takes the picture's middle.

    Raises:
        UnusableClip: The frames cannot be decoded, or their shape is too far from the clip's.
    """
    info, size = clip.info, config.size
    crop = clip.crop or center_crop(info.width, info.height, size, info.pixel_aspect)
    if crop.scaled_width * crop.scaled_height > config.limits.pixels:
        reason = f"{info.width}x{info.height} is too long a shape to cut {size} out of it; crop it first"
        raise UnusableClip(source.path, reason, info)
    lost_share = 1 - size.width * size.height / (crop.scaled_width * crop.scaled_height)
    if clip.crop is not None or lost_share < _SMALL_LOSS or find_saliency is None:
        return replace(clip, crop=crop), _read_frames(source, clip, config, crop, size.shape)
    scaled_shape = crop.scaled_height, crop.scaled_width
    pictures = _read_frames(source, clip, config, replace(crop, left=0, top=0), scaled_shape)
    crop, share = crop_by_saliency(info.width, info.height, size, find_saliency(pictures), info.pixel_aspect)
    if share < _HELD_SHARE and config.overflow == "letterbox":
        crop = fit_whole(info.width, info.height, size, info.pixel_aspect)
        return replace(clip, crop=crop), _read_frames(source, clip, config, crop, size.shape)
    note = ""
    if share < _HELD_SHARE:
        note = (
            f"the clip shows {share:.0%} of what moves; for the rest use another size, put masks beside it, or "
            f"letterbox it (ingest: overflow, --overflow letterbox)"
        )
    frames = pictures[:, crop.top : crop.top + size.height, crop.left : crop.left + size.width]
    return replace(clip, crop=crop, crop_note=note), np.ascontiguousarray(frames)


def _read_frames(
    source: VideoSource, clip: Clip, config: IngestConfig, crop: Crop, shape: tuple[int, int]
) -> np.ndarray:
    """The clip's frames through a window of `shape`, uint8 RGB (frames, height, width, 3)."""
    indices = sorted(set(clip.indices.tolist()))
    convert = partial(crop_picture, crop=crop, shape=shape, pixel_aspect=clip.info.pixel_aspect)
    pictures = dict(iterate_frames(source.path, clip.info, indices, convert, config.limits))
    return np.stack([pictures[index] for index in clip.indices.tolist()])
