"""The user's own masks of an ingested clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mvmodel.errors import InputError
from mvmodel.masks.files import check_foreground, read_numbered_masks, resize_to_clip
from mvmodel.masks.pairing import pair_masks
from mvmodel.masks.sequence import MaskSequence
from mvmodel.picture_size import PictureSize
from mvmodel.video.containers import holds_pictures, image_files
from mvmodel.video.crop import Box, Crop, center_crop, crop_picture, fit_whole, foreground_box
from mvmodel.video.decode import iterate_alpha
from mvmodel.video.probe import probe_video

_ASPECT_TOLERANCE = 0.02
_EXIF_ORIENTATION = 0x0112
_EXIF_QUARTER_TURNS = {6: 90, 8: 270}
"""EXIF orientation -> clockwise degrees by which the stored picture is turned."""


@dataclass(frozen=True)
class FootageMasks:
    """The user's own masks of a clip's frames, before they are cropped.

    Attributes:
        masks: Of all objects together, bool (frames, height, width), one for each of the clip's frames.
        objects: Of each object, bool (objects, frames, height, width).
        names: Name of each object, or "".
        fps: Frame rate of the clip.
        pixel_aspect: Width of a mask's pixel divided by its height.
        size: The clip's size.
        path: Where the masks are from, for messages.
        drawn_on_clip: The masks have the clip's own size and shape, so they are not cropped.
    """

    masks: np.ndarray
    objects: np.ndarray
    names: tuple[str, ...]
    fps: float
    pixel_aspect: float
    size: PictureSize
    path: Path
    drawn_on_clip: bool = False

    @property
    def foreground(self) -> Box | None:
        """Where the foreground is in all frames together; None if the masks say nothing about the window."""
        return None if self.drawn_on_clip else foreground_box(self.masks)

    def crop(self, crop: Crop) -> MaskSequence:
        """The masks of the clip. Objects that are in none of its frames are left out.

        Raises InputError if the foreground is too small for the clip.
        """
        masks = self._crop(self.masks, crop)
        if not masks.any():
            raise InputError(f"{self.path}: its foreground is too small to be seen at {self.size}; use a larger size")
        if len(self.objects) == 1:
            return MaskSequence(masks, self.fps)
        instances = np.stack([self._crop(masks_of_one, crop) for masks_of_one in self.objects])
        is_seen = np.array([bool(instance.any()) for instance in instances])
        _fill_seams(masks, instances)
        seen_names = [name for name, is_visible in zip(self.names, is_seen, strict=True) if is_visible]
        return MaskSequence.from_instances(instances[is_seen], self.fps, seen_names)

    def _crop(self, masks: np.ndarray, crop: Crop) -> np.ndarray:
        if self.drawn_on_clip:
            return masks
        return np.stack([crop_picture(mask, crop, self.size.shape, self.pixel_aspect) for mask in masks])


def load_clip_masks(folder: Path, row: Mapping[str, Any]) -> MaskSequence | None:
    """The user's own masks of an ingested clip, sampled, turned and cropped as its frames were. None if there are none.

    Objects are kept apart; one that is in none of the clip's frames is left out. If the masks are the clip itself, its
    alpha channel is read.

    Args:
        folder: The folder or file that was ingested.
        row: The clip's row of the catalogue.

    Raises:
        InputError: The masks cannot be read, a frame of the clip has no mask, or the masks have another aspect ratio.
    """
    masks = load_footage_masks(folder, row)
    return None if masks is None else masks.crop(Crop.from_row(row))


def load_footage_masks(folder: Path, row: Mapping[str, Any]) -> FootageMasks | None:
    """As `load_clip_masks`, but before cropping: `row` needs no window yet."""
    if not row["masks"]:
        return None
    path, source = (locate_masks(folder, str(row[name])) for name in ("masks", "source_path"))
    frame_indices = np.asarray(row["sampled"], int)
    names: tuple[str, ...] = ("",)
    if row["masks"] == row["source_path"]:
        objects = _read_alpha(source, frame_indices)[None]
    else:
        sequence, numbers = read_numbered_masks(path)
        indices = pair_masks(path, sequence.frames, numbers, source, int(row["source_frames"]), frame_indices)
        objects, names = sequence.per_instance[:, indices], sequence.names
    union = np.logical_or.reduce(objects, axis=0)
    masks, pixel_aspect, drawn_on_clip = _fit_masks(path, _turn_masks(union, source, row), row)
    if not masks.any():
        raise InputError(f"{path} has no foreground in any frame of the clip that was made of {row['file']}")
    fitted = [masks] if len(objects) == 1 else [_fit_masks(path, _turn_masks(o, source, row), row)[0] for o in objects]
    size = PictureSize(int(row["width"]), int(row["height"]))
    fps = float(row["fps"])
    return FootageMasks(masks, np.stack(fitted), tuple(names), fps, pixel_aspect, size, path, drawn_on_clip)


def _read_alpha(source: Path, frame_indices: np.ndarray) -> np.ndarray:
    """The opaque pixels of a clip's frames, bool (frames, height, width). Raises InputError if they are no mask."""
    info = probe_video(source)
    opaque = dict(iterate_alpha(source, info, sorted(set(frame_indices.tolist()))))
    masks = np.stack([opaque[index] for index in frame_indices.tolist()])
    if masks.all(axis=(1, 2)).any():
        raise InputError(f"{source} is opaque all over in some frames")
    check_foreground(source, masks)
    return masks


def _fill_seams(masks: np.ndarray, instances: np.ndarray) -> None:
    """Gives pixels of the union that no object has, where objects touch, to the nearest one; changes `instances`."""
    for frame in np.flatnonzero((masks & ~instances.any(axis=0)).any(axis=(1, 2))).tolist():
        seam = masks[frame] & ~instances[:, frame].any(axis=0)
        distances = [
            cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
            if mask.any()
            else np.full(mask.shape, np.inf)
            for mask in instances[:, frame]
        ]
        nearest = np.argmin(distances, axis=0)
        for number in range(len(instances)):
            instances[number, frame] |= seam & (nearest == number)


def locate_masks(footage: Path, name: str) -> Path:
    """The path of a file that a catalogue names, from the folder or the single file that was ingested."""
    footage = Path(footage)
    return (footage.parent if footage.is_file() else footage) / name


def _turn_masks(masks: np.ndarray, source: Path, row: Mapping[str, Any]) -> np.ndarray:
    """Turns masks that were drawn on the stored pictures of a source that is displayed on its side."""
    height, width = int(row["source_height"]), int(row["source_width"])
    if height == width or masks.shape[1:] != (width, height):
        return masks
    rotation = int(row["source_rotation"])
    if holds_pictures(source):
        with Image.open(image_files(source)[0]) as picture:
            rotation = _EXIF_QUARTER_TURNS.get(picture.getexif().get(_EXIF_ORIENTATION, 1), 0)
    if rotation % 180 == 0:
        return masks
    return np.ascontiguousarray(np.rot90(masks, -(rotation // 90), axes=(1, 2)))


def _lay_on(masks: np.ndarray, row: Mapping[str, Any], size: PictureSize) -> Crop:
    """How masks of another shape become masks of a clip's frames, as the settings say."""
    height, width = masks.shape[1:]
    if row["mask_fit"] == "stretch":
        return Crop(size.width, size.height, 0, 0, "whole")
    return fit_whole(width, height, size) if row["mask_fit"] == "pad" else center_crop(width, height, size)


def _fit_masks(path: Path, masks: np.ndarray, row: Mapping[str, Any]) -> tuple[np.ndarray, float, bool]:
    """Brings masks to the size of the source's frames, unless they have the clip's.

    Returns them, the aspect of their pixels, and whether they have the clip's own size.

    Masks have the source's pixels, or square pixels where the source has none, or the clip's own size.
    """
    height, width, aspect = int(row["source_height"]), int(row["source_width"]), float(row["source_pixel_aspect"])
    if masks.shape[1:] == (height, width):
        return masks, aspect, False
    ratio = masks.shape[2] / masks.shape[1]
    display_width = round(width * aspect)
    if abs(ratio * height / width - 1) > _ASPECT_TOLERANCE:
        if abs(ratio * height / display_width - 1) <= _ASPECT_TOLERANCE:
            return resize_to_clip(path, masks, (height, display_width)), 1.0, False
        if masks.shape[1:] == (int(row["height"]), int(row["width"])):
            return masks, 1.0, True
        size = PictureSize(display_width, height)
        if row.get("mask_fit"):
            return np.stack([crop_picture(mask, _lay_on(masks, row, size), size.shape) for mask in masks]), 1.0, False
        raise InputError(
            f"{path} is {masks.shape[2]}x{masks.shape[1]}, the clip {size}: another shape; give masks drawn on the "
            f"clip, or say how they lie on it (ingest: mask_fit, --fit)"
        )
    return resize_to_clip(path, masks, (height, width)), aspect, False
