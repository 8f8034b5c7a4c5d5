"""The user's own masks of an ingested clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mvmodel.errors import InputError
from mvmodel.masks.files import check_foreground, read_numbered_masks, resize_to_clip
from mvmodel.masks.pairing import pair_masks
from mvmodel.masks.sequence import MaskSequence
from mvmodel.video.containers import holds_pictures, image_files
from mvmodel.video.decode import iterate_alpha
from mvmodel.video.probe import probe_video
from mvmodel.video.sampling import crop_to_square

_ASPECT_TOLERANCE = 0.02
_EXIF_ORIENTATION = 0x0112
_EXIF_QUARTER_TURNS = {6: 90, 8: 270}
"""EXIF orientation -> clockwise degrees by which the stored picture is turned."""


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
    if not row["masks"]:
        return None
    path, source = (locate_masks(folder, str(row[name])) for name in ("masks", "source_path"))
    sampled = np.asarray(row["sampled"], int)
    if row["masks"] == row["source_path"]:
        objects, names = _read_alpha(source, sampled)[None], ("",)
    else:
        sequence, numbers = read_numbered_masks(path)
        indices = pair_masks(path, sequence.frames, numbers, source, int(row["source_frames"]), sampled)
        objects, names = sequence.per_instance[:, indices], sequence.names
    instances = np.stack([_fit_object(path, masks, source, row) for masks in objects])
    masks = _fit_object(path, objects.any(axis=0), source, row)
    if not masks.any():
        raise InputError(f"{path} has no foreground in any frame of the clip that was made of {row['file']}")
    if len(instances) == 1:
        return MaskSequence(masks, float(row["fps"]))
    is_seen = instances.any(axis=(1, 2, 3))
    _fill_seams(masks, instances)
    seen_names = [name for name, seen in zip(names, is_seen, strict=True) if seen]
    return MaskSequence.from_instances(instances[is_seen], float(row["fps"]), seen_names)


def _read_alpha(source: Path, sampled: np.ndarray) -> np.ndarray:
    """The opaque pixels of a clip's frames, bool (frames, height, width). Raises InputError if they are no mask."""
    info = probe_video(source)
    opaque = dict(iterate_alpha(source, info, sorted(set(sampled.tolist()))))
    masks = np.stack([opaque[index] for index in sampled.tolist()])
    check_foreground(source, masks)
    return masks


def _fit_object(path: Path, masks: np.ndarray, source: Path, row: Mapping[str, Any]) -> np.ndarray:
    """Masks of one object turned and cropped as the clip's frames were, bool (frames, height, width)."""
    fitted, pixel_aspect = _fit_masks(path, _turn_masks(masks, source, row), row)
    return np.stack([crop_to_square(mask, int(row["height"]), pixel_aspect) for mask in fitted])


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


def _fit_masks(path: Path, masks: np.ndarray, row: Mapping[str, Any]) -> tuple[np.ndarray, float]:
    """Brings masks to the size of the source's frames. Returns them and the aspect of their pixels.

    Masks have the source's pixels, or square pixels where the source has none, or the clip's own size.
    """
    height, width, aspect = int(row["source_height"]), int(row["source_width"]), float(row["source_pixel_aspect"])
    if masks.shape[1:] == (height, width):
        return masks, aspect
    ratio = masks.shape[2] / masks.shape[1]
    display_width = round(width * aspect)
    if abs(ratio * height / width - 1) > _ASPECT_TOLERANCE:
        if abs(ratio * height / display_width - 1) <= _ASPECT_TOLERANCE:
            return resize_to_clip(path, masks, (height, display_width)), 1.0
        if masks.shape[1:] == (int(row["height"]), int(row["width"])):
            return masks, 1.0
    return resize_to_clip(path, masks, (height, width)), aspect
