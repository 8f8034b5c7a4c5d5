"""First frames that the user gave: read, fitted to the video, and compared with mask 1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.fit import Fit, choose_window, has_shape
from mvmodel.metrics.judge import judge_iou
from mvmodel.picture_size import PictureSize
from mvmodel.text import find_object_words
from mvmodel.video.animation import is_animation
from mvmodel.video.config import DecodeLimits
from mvmodel.video.containers import IMAGE_SUFFIXES, UnusableClip
from mvmodel.video.crop import center_crop, crop_picture
from mvmodel.video.frames import read_frames
from mvmodel.video.guard import run_guarded
from mvmodel.video.pictures import read_rgb

if TYPE_CHECKING:
    from mvmodel.packs import Pack


def read_first_frame(source: Path, frame_index: int = 0) -> np.ndarray:
    """A picture, or frame `frame_index` of a video counted from 0: uint8 RGB (height, width, 3).

    Raises InputError naming the file if it cannot be read or has no such frame.
    """
    if source.suffix.lower() in IMAGE_SUFFIXES and not is_animation(source):
        try:
            picture: np.ndarray = run_guarded(source, DecodeLimits(), read_rgb, source)
        except UnusableClip as error:
            raise InputError(f"{source} cannot be read as a picture: {error.reason}; give a PNG or JPEG") from error
        return picture
    frames = read_frames(source)
    if not 0 <= frame_index < len(frames):
        raise InputError(f"{source} has {len(frames)} frames and no frame {frame_index}; count from 0")
    return np.ascontiguousarray(frames[frame_index])


def fit_first_frame(
    picture: np.ndarray, size: PictureSize, masks: MaskSequence, fit: Fit = "crop"
) -> tuple[np.ndarray, str]:
    """A first frame at `size`, uint8 (height, width, 3), and a sentence on how it was fitted; "" if it had its shape.

    A picture of the shape of `masks`, as they were before fitting, is fitted as they are, so that both stay on each
    other. Any other picture is scaled until it covers `size`, and its middle is taken.
    """
    height, width = picture.shape[:2]
    image = Image.fromarray(picture)
    if has_shape(width, height, size):
        return np.asarray(image.resize((size.width, size.height), Image.Resampling.LANCZOS)), ""
    start = f"the first frame of {width}x{height} is fitted into {size}"
    if has_shape(width, height, PictureSize(masks.width, masks.height)):
        scaled = np.asarray(image.resize((masks.width, masks.height), Image.Resampling.LANCZOS))
        return crop_picture(scaled, choose_window(masks, size, fit), size.shape), f"{start} as the masks are"
    window = center_crop(width, height, size)
    part = window.describe(width, height, size)
    return crop_picture(picture, window, size.shape), f"{start} by its middle {part['width']}x{part['height']}"


def check_first_frame_fit(
    pack: Pack, first_frame: np.ndarray, mask: np.ndarray, prompt: str, min_iou: float
) -> tuple[float | None, str]:
    """IoU of the object in a given first frame with mask 1, and a sentence if that is too low, else "".

    The object is detected without the mask, as what the pack's scorer finds most similar to the prompt's object words.
    A random pack cannot detect it, and `min_iou` 0 accepts any frame; the IoU is then None.

    Args:
        pack: Provides segmenter and scorer.
        first_frame: uint8 (height, width, 3).
        mask: bool (height, width).
        prompt: What the video is to show.
        min_iou: Smallest IoU that is accepted, 0..1.
    """
    if pack.info.random or not min_iou:
        return None, ""
    words = find_object_words(prompt, list(pack.info.objects)) or [prompt]
    overlap = float(judge_iou(first_frame[None], mask[None], pack.scorer(), pack.segmenter(), words)[0])
    if overlap >= min_iou:
        return overlap, ""
    return overlap, (
        f"the first frame shows {' and '.join(words)} elsewhere than mask 1 says (IoU {overlap:.2f}, at least "
        f"{min_iou:g} is wanted); move the mask onto it, or let the ControlNet make frame 1"
    )
