"""Reads, checks and writes mask sequences: a folder of PNGs, a GIF or video, an .npz or .npy, COCO JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

from mvmodel.errors import InputError
from mvmodel.files import atomic_write
from mvmodel.masks.arrays import read_npy, read_npz
from mvmodel.masks.coco import read_coco, to_coco
from mvmodel.masks.key_frames import interpolate_every
from mvmodel.masks.labels import soft_mask
from mvmodel.masks.pairing import pair_masks, read_picture_numbers
from mvmodel.masks.pictures import read_picture_file, read_picture_folder, read_rate, sequence_of_labels, write_rate
from mvmodel.masks.sequence import MaskSequence
from mvmodel.video.animation import ANIMATION_SUFFIXES, gif_delays
from mvmodel.video.config import DecodeLimits
from mvmodel.video.containers import (
    IMAGE_SUFFIXES,
    UnusableClip,
    check_unchanged,
    holds_pictures,
    image_files,
    stamp_files,
)
from mvmodel.video.decode import decode_video, iterate_alpha
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.guard import run_guarded
from mvmodel.video.picture_sequences import describe_gaps
from mvmodel.video.probe import probe_video

logger = logging.getLogger(__name__)
_OTHER_SUFFIXES = frozenset({".csv", ".txt", ".md", ".yaml", ".yml", ".pth", ".safetensors", ".zip", ".parquet"})
_ASPECT_TOLERANCE = 0.02
"""Largest relative difference of two aspect ratios that count as the same."""

Polarity = Literal["white", "black"]


def read_masks(
    path: Path,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    polarity: Polarity = "white",
    every: int | None = None,
    clip: Path | None = None,
) -> MaskSequence:
    """Reads a mask sequence from a folder of pictures, a GIF or video, an .npz or .npy, or a COCO .json.

    `mvmodel.masks.values` says what alpha, palette indices, ids and grey levels mean. Several ids are instances.

    Args:
        path: The file or folder.
        frames: The expected number of masks.
        size: (height, width) to resize to; the aspect ratio must be the same.
        fps: Frame rate of the result. None: the file's own, or 8.
        polarity: Which side is the object.
        every: The masks are of every n-th frame; those between are interpolated.
        clip: The video or the folder of frames of the masks. They are paired with its frames by number.

    Raises:
        InputError: Names the file and the fix for a wrong count or shape, for masks without any foreground, and for
            masks that look inverted.
    """
    path = Path(path)
    sequence, numbers = _read_sequence(path, every)
    if holds_pictures(path) and clip is None and every is None and (gaps := describe_gaps(image_files(path))):
        logger.warning("%s: %s", path, gaps)
    if clip is not None:
        sequence = _pair_with_clip(path, sequence, numbers, clip, every or 1)
    masks, file_fps, instances, names = sequence.masks, sequence.fps, sequence.instances, sequence.names
    if polarity == "black":
        masks, instances, names = ~masks, None, ()
    if frames is not None and len(masks) != frames:
        raise InputError(f"{path} has {len(masks)} masks, the clip {frames} frames; give one mask a frame")
    check_foreground(path, masks)
    if instances is None:
        resized = masks if size is None or masks.shape[1:] == size else resize_to_clip(path, masks, size)
        return MaskSequence(resized, fps or file_fps, camera=sequence.camera)
    if size is not None and masks.shape[1:] != size:
        instances = np.stack([resize_to_clip(path, instance, size) for instance in instances])
    return MaskSequence.from_instances(instances, fps or file_fps, names, sequence.camera)


def _pair_with_clip(
    path: Path, sequence: MaskSequence, numbers: list[Decimal] | None, clip: Path, every: int
) -> MaskSequence:
    """The masks of a clip's frames, one each. Interpolation may have held the last mask beyond the clip's end."""
    frames = probe_video(clip).frames
    surplus = sequence.frames - frames
    count = frames if 0 < surplus < every else sequence.frames
    indices = pair_masks(path, count, numbers, clip, frames, np.arange(frames))
    if sequence.instances is None:
        return MaskSequence(sequence.masks[indices], sequence.fps)
    return MaskSequence.from_instances(sequence.instances[:, indices], sequence.fps, sequence.names)


def read_numbered_masks(path: Path) -> tuple[MaskSequence, list[Decimal] | None]:
    """As `read_masks`, with the number of each mask by the file names, or None if they do not count."""
    sequence, numbers = _read_sequence(Path(path), None)
    check_foreground(path, sequence.masks)
    return sequence, numbers


def _read_sequence(path: Path, every: int | None) -> tuple[MaskSequence, list[Decimal] | None]:
    """The masks of a file or folder, and their numbers. With `every`, masks between every n-th are interpolated."""
    if not path.exists() and not holds_pictures(path):
        raise InputError(
            f"the masks {path} do not exist; give a folder of PNGs, a GIF, a video, an .npz, .npy or COCO .json"
        )
    stamp = stamp_files(path)
    try:
        result = run_guarded(path, DecodeLimits(), _read_here, path, every)
        check_unchanged(path, stamp)
    except UnusableClip as error:
        raise InputError(f"the masks {path} cannot be read: {error.reason}") from error
    return result


def _read_here(path: Path, every: int | None) -> tuple[MaskSequence, list[Decimal] | None]:
    """As `_read_sequence`, in this process."""
    if path.suffix.lower() == ".json" and not path.is_dir():
        return read_coco(path, every)
    sequence = _read_plain(path)
    numbers = read_picture_numbers(path, sequence.frames)
    if every is None:
        return sequence, numbers
    has_rate = not holds_pictures(path) or read_rate(path) is not None
    return interpolate_every(sequence, every, has_rate, numbers), None


def _read_plain(path: Path) -> MaskSequence:
    suffix = path.suffix.lower()
    if holds_pictures(path):
        return read_picture_folder(path)
    if suffix == ".npz":
        return read_npz(path)
    if suffix == ".npy":
        return read_npy(path)
    if suffix in _OTHER_SUFFIXES:
        raise InputError(
            f"{path} is no mask sequence; give a folder of PNGs, a GIF, a video, an .npz, .npy or COCO .json"
        )
    if suffix in ANIMATION_SUFFIXES | IMAGE_SUFFIXES:
        return read_picture_file(path)
    return _read_video(path)


def read_mask(path: Path) -> np.ndarray:
    """Reads one mask picture, bool (height, width), not empty. Raises InputError naming the file."""
    path = Path(path)
    try:
        masks = run_guarded(path, DecodeLimits(), read_picture_file, path).masks
    except UnusableClip as error:
        raise InputError(f"the mask {path} cannot be read: {error.reason}") from error
    if len(masks) > 1:
        raise InputError(f"{path} holds {len(masks)} pictures; give one mask")
    check_foreground(path, masks)
    return masks[0]


def write_masks(path: Path, sequence: MaskSequence, confidence: Sequence[float] | None = None) -> Path:
    """Writes a mask sequence in the format of the file's suffix. `read_masks` reads all of them.

    Without a suffix: a folder of 0/255 PNGs, and NAME.fps.json beside it with the rate. .npz and .json (COCO) are exact
    and store rate, instances and names. .gif stores the masks exactly, and each time to a hundredth of a second. .mp4
    is lossy: at least 0.97 IoU (tested), and an odd height or width is padded by one row or column. A folder, .gif and
    .mp4 merge all objects, which is logged. Raises InputError for another suffix.

    confidence: a segmenter's score of every mask, 0..1. Only .npz stores it.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.exists() and path.is_dir() != (suffix == ""):
        raise InputError(f"{path} is {'a folder' if path.is_dir() else 'a file'} already; give another name")
    if sequence.instances is not None and len(sequence.instances) > 1 and suffix in ("", ".gif", ".mp4"):
        logger.warning("%s: %d objects become one; .npz and .json keep them apart", path, len(sequence.instances))
    if suffix == "":
        if path.is_dir() and any(file.suffix != ".png" for file in path.iterdir()):
            raise InputError(f"{path} holds other things than PNGs and would be replaced; give a new folder")
        write_png_folder(path, sequence.masks)
        write_rate(path, sequence.fps)
        return path
    if suffix == ".npz":
        sequence.save(path, confidence)
    elif suffix == ".json":
        with atomic_write(path) as temporary_path:
            temporary_path.write_text(json.dumps(to_coco(sequence)) + "\n", encoding="utf-8")
    elif suffix == ".gif":
        _write_gif(path, sequence)
    elif suffix == ".mp4":
        grey = sequence.masks.astype(np.uint8) * 255
        write_mp4(path, np.repeat(grey[..., None], 3, axis=3), sequence.fps)
    else:
        raise InputError(
            f"{path} ends in {suffix}; masks are written as .npz, .json (COCO), .gif, .mp4 or a folder of PNGs"
        )
    return path


def _write_gif(path: Path, sequence: MaskSequence) -> None:
    """Writes a grey GIF that loops for ever, with FFmpeg: Pillow merges equal frames, which loses the count."""
    delays = gif_delays(sequence.frames, sequence.fps)
    with (
        atomic_write(path) as temporary_path,
        av.open(str(temporary_path), "w", format="gif", options={"loop": "0", "final_delay": str(delays[-1])}) as file,
    ):
        stream = file.add_stream("gif", rate=100)
        stream.width, stream.height, stream.pix_fmt = sequence.width, sequence.height, "gray"
        times = np.cumsum([0, *delays])
        for mask, start in zip(sequence.masks, times.tolist(), strict=False):
            grey = np.ascontiguousarray(mask.astype(np.uint8) * 255)
            frame = av.VideoFrame.from_ndarray(grey, format="gray")
            frame.pts, frame.time_base = start, Fraction(1, 100)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _read_video(path: Path) -> MaskSequence:
    try:
        info = probe_video(path)
        if info.alpha:
            opaque = np.stack([pixels for _, pixels in iterate_alpha(path, info, range(info.frames))])
            return MaskSequence(opaque, info.fps)
        decoded = decode_video(path, info=info)
    except UnusableClip as error:
        raise InputError(f"the masks {path} cannot be read: {error.reason}") from error
    return sequence_of_labels(path, lambda: soft_mask(decoded.frames.max(axis=3)), decoded.fps)


def check_foreground(path: Path, masks: np.ndarray) -> None:
    """Raises InputError for masks without foreground, and for masks that look inverted."""
    if not masks.any():
        raise InputError(f"{path} has no foreground in any frame; the object must be white, or palette index 1 and up")
    border = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], axis=1)
    if masks.mean() > 0.5 and border.mean() > 0.9:
        raise InputError(
            f"{path} looks turned inside out: foreground fills {masks.mean():.0%} and nearly the whole border; "
            f"the object must be white on black, opaque or an id above 0; if it is the other way round, give --invert"
        )


def resize_to_clip(path: Path, masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Masks, bool (frames, height, width), resized to a clip's (height, width).

    Raises InputError naming the file `path` if the aspect ratios differ.
    """
    height, width = masks.shape[1:]
    if abs(width / height * size[0] / size[1] - 1) > _ASPECT_TOLERANCE:
        raise InputError(
            f"{path} is {width}x{height}, the clip {size[1]}x{size[0]}: another shape; give masks drawn on the clip"
        )
    interpolation = cv2.INTER_AREA if size[0] < height else cv2.INTER_LINEAR
    resized = [cv2.resize(mask.astype(np.float32), (size[1], size[0]), interpolation=interpolation) for mask in masks]
    return np.stack(resized) >= 0.5
