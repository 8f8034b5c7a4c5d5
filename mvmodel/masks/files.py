"""Reads, checks and writes mask sequences: a folder of PNGs, a GIF or video, an .npz, COCO JSON."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np
from PIL import Image

from mvmodel.errors import InputError
from mvmodel.files import atomic_write
from mvmodel.masks.coco import read_coco, to_coco
from mvmodel.masks.sequence import MaskSequence
from mvmodel.video.containers import UnusableClip, image_files
from mvmodel.video.decode import decode_video
from mvmodel.video.encode import write_mp4, write_png_folder

_HALF = 127
_OTHER_SUFFIXES = frozenset(
    {".csv", ".txt", ".md", ".yaml", ".yml", ".npy", ".pth", ".safetensors", ".zip", ".parquet"}
)
_ASPECT_TOLERANCE = 0.02
"""Largest relative difference of two aspect ratios that count as the same."""

Polarity = Literal["white", "black"]


def read_masks(
    path: Path,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    polarity: Polarity = "white",
) -> MaskSequence:
    """Reads a mask sequence from a folder of pictures, a GIF or video, an .npz, or a COCO .json.

    In palette pictures, every index except 0 is the object.

    Args:
        path: The file or folder.
        frames: The expected number of masks.
        size: (height, width) to resize to; the aspect ratio must be the same.
        fps: Frame rate of the result. None: the file's own, or 8.
        polarity: Which side is the object.

    Raises:
        InputError: Names the file and the fix for a wrong count or shape, for masks without any foreground, and for
            masks that look inverted.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"the masks {path} do not exist; give a folder of PNGs, a GIF, a video, an .npz or COCO .json")
    instances: np.ndarray | None = None
    names: tuple[str, ...] = ()
    suffix = path.suffix.lower()
    if path.is_dir():
        masks, file_fps = _read_folder(path), 8.0
    elif suffix in (".npz", ".json"):
        sequence = read_coco(path) if suffix == ".json" else _read_npz(path)
        masks, file_fps, instances, names = sequence.masks, sequence.fps, sequence.instances, sequence.names
    elif suffix in _OTHER_SUFFIXES:
        raise InputError(f"{path} is no mask sequence; give a folder of PNGs, a GIF, a video, an .npz or COCO .json")
    else:
        masks, file_fps = _read_video(path)
    if polarity == "black":
        masks, instances, names = ~masks, None, ()
    if frames is not None and len(masks) != frames:
        raise InputError(f"{path} has {len(masks)} masks, the clip {frames} frames; give one mask a frame")
    _check_foreground(path, masks)
    if instances is None:
        resized = masks if size is None or masks.shape[1:] == size else resize_to_clip(path, masks, size)
        return MaskSequence(resized, fps or file_fps)
    if size is not None and masks.shape[1:] != size:
        instances = np.stack([resize_to_clip(path, instance, size) for instance in instances])
    return MaskSequence.from_instances(instances, fps or file_fps, names)


def read_mask(path: Path) -> np.ndarray:
    """Reads one mask picture, bool (height, width), not empty. Raises InputError naming the file."""
    try:
        with Image.open(path) as image:
            mask = _to_binary(image)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"the mask {path} cannot be read ({error}); give a PNG with the object in white") from error
    _check_foreground(Path(path), mask[None])
    return mask


def write_masks(path: Path, sequence: MaskSequence) -> Path:
    """Writes a mask sequence in the format of the file's suffix. `read_masks` reads all of them.

    Without a suffix: a folder of 0/255 PNGs. .npz and .json (COCO) are exact and store rate, instances and names. .gif
    stores the masks exactly, and the rate to a hundredth of a second per frame. .mp4 is lossy: at least 0.97 IoU
    (tested), and an odd height or width is padded by one row or column. Raises InputError for another suffix.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.exists() and path.is_dir() != (suffix == ""):
        raise InputError(f"{path} is {'a folder' if path.is_dir() else 'a file'} already; give another name")
    if suffix == "":
        if path.is_dir() and any(file.suffix != ".png" for file in path.iterdir()):
            raise InputError(f"{path} holds other things than PNGs and would be replaced; give a new folder")
        return write_png_folder(path, sequence.masks)
    if suffix == ".npz":
        sequence.save(path)
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
    hundredths = max(2, round(100 / sequence.fps))
    with (
        atomic_write(path) as temporary_path,
        av.open(str(temporary_path), "w", format="gif", options={"loop": "0"}) as file,
    ):
        stream = file.add_stream("gif", rate=Fraction(100, hundredths))
        stream.width, stream.height, stream.pix_fmt = sequence.width, sequence.height, "gray"
        for mask in sequence.masks:
            grey = np.ascontiguousarray(mask.astype(np.uint8) * 255)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
        file.mux(stream.encode(None))


def _read_folder(folder: Path) -> np.ndarray:
    files = image_files(folder)
    if not files:
        raise InputError(f"{folder} holds no mask pictures; put one PNG a frame into it")
    masks = []
    for file in files:
        try:
            with Image.open(file) as image:
                masks.append(_to_binary(image))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"the mask {file} cannot be read ({error}); save it again as PNG") from error
        if masks[-1].shape != masks[0].shape:
            raise InputError(f"the mask {file} has another size than {files[0].name}; give all masks one size")
    return np.stack(masks)


def _to_binary(image: Any) -> np.ndarray:
    """A picture as a mask: a palette index or value of 1 in 0/1 pictures is foreground, else more than half grey."""
    if image.mode == "P":
        return np.asarray(image) > 0
    if image.mode == "1":
        return np.asarray(image).astype(bool)
    if image.mode.startswith("I"):  # 16-bit grey
        values = np.asarray(image).astype(np.int64)
    else:
        bands = image.convert("RGBA")
        values = np.asarray(bands.convert("RGB")).max(axis=2).astype(np.int64) * (np.asarray(bands)[..., 3] > _HALF)
    highest = int(values.max())
    if highest <= 1:
        return values > 0
    return values > (_HALF if highest <= 255 else highest // 2)


def _read_npz(path: Path) -> MaskSequence:
    try:
        with np.load(path, allow_pickle=False) as data:
            if "bits" not in data.files:
                name = "masks" if "masks" in data.files else data.files[0]
                masks = np.asarray(data[name])
                masks = masks[:, 0] if masks.ndim == 4 and masks.shape[1] == 1 else masks
                if masks.ndim != 3 or masks.dtype.kind not in "buif":
                    raise InputError(f"{path} holds {masks.dtype} {masks.shape}; give bool (frames, height, width)")
                return MaskSequence(masks > (_HALF if masks.dtype.kind in "ui" and masks.max(initial=0) > 1 else 0.5))
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{path} is no readable .npz of masks ({error}); save a bool array in it") from error
    return MaskSequence.load(path)


def _read_video(path: Path) -> tuple[np.ndarray, float]:
    try:
        decoded = decode_video(path)
    except UnusableClip as error:
        raise InputError(f"the masks {path} cannot be read: {error.reason}") from error
    return decoded.frames.max(axis=3) > _HALF, decoded.fps


def _check_foreground(path: Path, masks: np.ndarray) -> None:
    """Raises InputError for masks without foreground, and for masks that look inverted."""
    if not masks.any():
        raise InputError(f"{path} has no foreground in any frame; the object must be white, or palette index 1 and up")
    border = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], axis=1)
    if masks.mean() > 0.5 and border.mean() > 0.9:
        raise InputError(
            f"{path} looks turned inside out: foreground fills {masks.mean():.0%} and nearly the whole border; "
            f"the object must be white, or say that it is black"
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
