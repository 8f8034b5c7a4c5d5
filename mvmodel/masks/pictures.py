"""Mask sequences from pictures: a folder with one per frame, or one animated or multi-page file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mvmodel.errors import InputError
from mvmodel.files import rate_file, write_json
from mvmodel.masks.labels import Labels
from mvmodel.masks.sequence import DEFAULT_FPS, MaskSequence
from mvmodel.masks.values import MaskPicture, picture_values, read_labels
from mvmodel.video.animation import is_animation, read_animation
from mvmodel.video.config import DecodeLimits
from mvmodel.video.containers import describe_error, image_files
from mvmodel.video.pictures import (
    PICTURE_ERRORS,
    check_picture_size,
    is_lossy_webp,
    is_pillow_format,
    read_picture,
    to_rgb,
)


def read_picture_folder(folder: Path) -> MaskSequence:
    """The masks of a folder of pictures, with the rate that `write_rate` put beside it, else 8.

    Raises InputError naming the file.
    """
    files = image_files(folder)
    if not files:
        raise InputError(f"{folder} holds no mask pictures; put one PNG a frame into it")
    pictures = []
    for file in files:
        try:
            if len(files) == 1 and is_animation(file):
                return read_picture_file(file)
            pictures.append(_read_values(file))
        except PICTURE_ERRORS as error:
            raise InputError(
                f"the mask {file} cannot be read ({describe_error(error)}); save it again as PNG"
            ) from error
        if pictures[-1].values.shape[:2] != pictures[0].values.shape[:2]:
            raise InputError(f"the mask {file} has another size than {files[0].name}; give all masks one size")
    return sequence_of_labels(folder, lambda: read_labels(pictures), read_rate(folder) or DEFAULT_FPS)


def read_picture_file(path: Path) -> MaskSequence:
    """The masks of one picture, an animated GIF, WebP or PNG, or a TIFF of several pages. Held frames are repeated.

    Raises InputError naming the file.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"the masks {path} cannot be read: the file is empty (zero bytes); copy it again")
    try:
        frames, fps = read_animation(path, _values) if is_pillow_format(path) else ([_read_values(path)], None)
    except PICTURE_ERRORS as error:
        reason = describe_error(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"the masks {path} cannot be read ({reason}); save them again as PNG") from error
    return sequence_of_labels(path, lambda: read_labels(frames), fps or DEFAULT_FPS)


def _read_values(file: Path) -> MaskPicture:
    """The values of one picture file. Raises PICTURE_ERRORS."""
    if is_pillow_format(file):
        with Image.open(file) as image:
            check_picture_size(image.size)
            return _values(image)
    picture = read_picture(file)
    if picture.values.ndim == 3 and not np.ptp(picture.values, axis=2).any():
        return MaskPicture(picture.values[..., 0], picture.alpha)
    return MaskPicture(to_rgb(picture) if picture.values.ndim == 3 else picture.values, picture.alpha)


def _values(image: Image.Image) -> MaskPicture:
    is_jpeg = image.format in ("JPEG", "MPO") or image.info.get("compression") == "jpeg"
    is_lossy = is_jpeg or (image.format == "WEBP" and is_lossy_webp(Path(getattr(image, "filename", ""))))
    upright = ImageOps.exif_transpose(image)
    if image.format == "GIF" and getattr(image, "n_frames", 1) > 1:
        # Pillow gives the first frame as palette indices and the others as colours.
        upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    return picture_values(upright, is_lossy)


def sequence_of_labels(path: Path, read: Callable[[], Labels], fps: float) -> MaskSequence:
    """The mask sequence of the labels that `read` returns. Its ValueErrors become InputErrors naming the file."""
    try:
        labels = read()
    except ValueError as error:
        raise InputError(f"the masks {path} cannot be read: {error}") from error
    size = labels.codes.size * len(labels.ids)
    limit = DecodeLimits().bytes
    if len(labels.ids) > 1 and size > limit:
        raise InputError(
            f"{path} holds {len(labels.ids)} objects, which need {size / 2**30:.1f} GiB, more than the limit of "
            f"{limit / 2**30:.1f} GiB; give fewer frames or objects, or a smaller size"
        )
    instances = labels.instances
    if instances is None:
        return MaskSequence(labels.masks, fps)
    return MaskSequence.from_instances(instances, fps, labels.names)


def write_rate(folder: Path, fps: float) -> None:
    """Writes the frame rate of a folder of masks beside it."""
    write_json(rate_file(folder), {"fps": float(fps)})


def read_rate(folder: Path) -> float | None:
    """The frame rate beside a folder of masks, or None. Raises InputError for a file that holds no rate."""
    file = rate_file(folder)
    if not file.is_file():
        return None
    try:
        fps = float(json.loads(file.read_text(encoding="utf-8"))["fps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{file} holds no frame rate; write {{"fps": 8.0}} into it, or remove it') from error
    if not np.isfinite(fps) or not 0 < fps <= 1000:
        raise InputError(f"{file} holds the frame rate {fps:g}; it is between 0 and 1000")
    return fps
