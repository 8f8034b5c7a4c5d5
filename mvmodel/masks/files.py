"""Mask sequences in files: a folder of PNGs, a GIF or video, an .npz, COCO JSON; read, checked, written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mvmodel.errors import InputError
from mvmodel.files import write_aside
from mvmodel.masks.coco import read_coco, to_coco
from mvmodel.masks.sequence import MaskSequence
from mvmodel.video.containers import UnusableClip, image_files
from mvmodel.video.decode import decode_video
from mvmodel.video.sampling import crop_to_square

_HALF = 127
_NO_MASKS = frozenset({".csv", ".txt", ".md", ".yaml", ".yml", ".npy", ".pth", ".safetensors", ".zip", ".parquet"})
_SAME_ASPECT = 0.02
"""Largest relative difference of two aspect ratios that still count as the same picture."""

Polarity = Literal["white", "black"]


def read_masks(
    path: Path,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    polarity: Polarity = "white",
) -> MaskSequence:
    """Read a mask sequence from a folder of pictures, a GIF or video, an .npz, or a COCO .json.

    frames: how many there must be. size: (height, width) to bring them to; the aspect ratio must be the same.
    polarity: which side is the object. Palette pictures: every index but 0 is the object.
    Raises InputError naming the file and the mend for a wrong count or shape, no foreground at all, or masks that look
    turned inside out.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"the masks {path} do not exist; give a folder of PNGs, a GIF, a video, an .npz or COCO .json")
    instances: np.ndarray | None = None
    names: tuple[str, ...] = ()
    if path.is_dir():
        masks, rate = _folder(path), 8.0
    elif path.suffix.lower() in (".npz", ".json"):
        given = read_coco(path) if path.suffix.lower() == ".json" else _npz(path)
        masks, rate, instances, names = given.masks, given.fps, given.instances, given.names
    elif path.suffix.lower() in _NO_MASKS:
        raise InputError(f"{path} is no mask sequence; give a folder of PNGs, a GIF, a video, an .npz or COCO .json")
    else:
        masks, rate = _video(path)
    if polarity == "black":
        masks, instances, names = ~masks, None, ()
    if frames is not None and len(masks) != frames:
        raise InputError(f"{path} has {len(masks)} masks, the clip {frames} frames; give one mask a frame")
    _plausible(path, masks)
    if instances is None:
        resized = masks if size is None or masks.shape[1:] == size else _resized(path, masks, size)
        return MaskSequence(resized, fps or rate)
    if size is not None and masks.shape[1:] != size:
        instances = np.stack([_resized(path, own, size) for own in instances])
    return MaskSequence.from_instances(instances, fps or rate, names)


def read_mask(path: Path) -> np.ndarray:
    """One mask picture, bool (height, width), not empty. Raises InputError naming the file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            mask = _binary(image)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"the mask {path} cannot be read ({error}); give a PNG with the object in white") from error
    _plausible(Path(path), mask[None])
    return mask


def write_masks(path: Path, sequence: MaskSequence) -> Path:
    """Write a mask sequence in the form that the ending names; `read_masks` reads every one of them again.

    No ending: a folder of 0/255 PNGs. .npz and .json (COCO) keep rate, instances and names, exactly. .gif keeps the
    masks exactly and the rate to a hundredth of a second a frame. .mp4 is lossy: at least 0.97 IoU (tested), and an odd
    height or width gets one more row or column. Raises InputError for another ending.
    """
    from mvmodel.video.encode import write_mp4, write_png_folder

    path = Path(path)
    kind = path.suffix.lower()
    if path.exists() and path.is_dir() != (kind == ""):
        raise InputError(f"{path} is {'a folder' if path.is_dir() else 'a file'} already; give another name")
    if kind == "":
        if path.is_dir() and any(file.suffix != ".png" for file in path.iterdir()):
            raise InputError(f"{path} holds other things than PNGs and would be replaced; give a new folder")
        return write_png_folder(path, sequence.masks)
    if kind == ".npz":
        sequence.save(path)
    elif kind == ".json":
        with write_aside(path) as aside:
            aside.write_text(json.dumps(to_coco(sequence)) + "\n", encoding="utf-8")
    elif kind == ".gif":
        _write_gif(path, sequence)
    elif kind == ".mp4":
        grey = sequence.masks.astype(np.uint8) * 255
        write_mp4(path, np.repeat(grey[..., None], 3, axis=3), sequence.fps)
    else:
        raise InputError(
            f"{path} ends in {kind}; masks are written as .npz, .json (COCO), .gif, .mp4 or a folder of PNGs"
        )
    return path


def _write_gif(path: Path, sequence: MaskSequence) -> None:
    """A grey GIF that plays for ever. By FFmpeg: Pillow joins equal frames into one, which loses the count."""
    import av

    hundredths = max(2, round(100 / sequence.fps))
    with write_aside(path) as aside, av.open(str(aside), "w", format="gif", options={"loop": "0"}) as file:
        stream = file.add_stream("gif", rate=Fraction(100, hundredths))
        stream.width, stream.height, stream.pix_fmt = sequence.width, sequence.height, "gray"
        for mask in sequence.masks:
            grey = np.ascontiguousarray(mask.astype(np.uint8) * 255)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
        file.mux(stream.encode(None))


def clip_masks(folder: Path, row: Mapping[str, Any]) -> MaskSequence | None:
    """The user's own masks of an ingested clip, sampled and cropped just as its frames were; None when it has none.

    folder: what was ingested. row: the clip's row of the catalogue. One mask is expected for every frame of the
    source, or for every frame of the clip as it was ingested. Raises InputError when they do not fit.
    """
    if not row["masks"]:
        return None
    path = Path(folder) / str(row["masks"])
    given = read_masks(path)
    counts = {int(row["source_frames"]): np.asarray(row["sampled"], int), int(row["frames"]): np.arange(row["frames"])}
    if given.frames not in counts:
        raise InputError(
            f"{path} has {given.frames} masks, but {row['file']} has {row['source_frames']} frames "
            f"(the clip made of it {row['frames']}); give one mask a frame"
        )
    shown = given.masks[counts[given.frames]]
    aspect = (int(row["source_height"]), int(row["source_width"]))
    if shown.shape[1:] != aspect and shown.shape[1:] != (row["height"], row["width"]):
        shown = _resized(path, shown, aspect)
    side = int(row["height"])
    squares = np.stack([crop_to_square(mask, side) for mask in shown])
    return MaskSequence(squares, float(row["fps"]))


def _folder(folder: Path) -> np.ndarray:
    from PIL import Image

    files = image_files(folder)
    if not files:
        raise InputError(f"{folder} holds no mask pictures; put one PNG a frame into it")
    masks = []
    for file in files:
        try:
            with Image.open(file) as image:
                masks.append(_binary(image))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"the mask {file} cannot be read ({error}); save it again as PNG") from error
        if masks[-1].shape != masks[0].shape:
            raise InputError(f"the mask {file} has another size than {files[0].name}; give all masks one size")
    return np.stack(masks)


def _binary(image: Any) -> np.ndarray:
    """One picture as a mask: palette index or value 1 of 0/1 pictures is foreground, else more than half grey."""
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


def _npz(path: Path) -> MaskSequence:
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


def _video(path: Path) -> tuple[np.ndarray, float]:
    try:
        decoded = decode_video(path)
    except UnusableClip as error:
        raise InputError(f"the masks {path} cannot be read: {error.reason}") from error
    return decoded.frames.max(axis=3) > _HALF, decoded.fps


def _plausible(path: Path, masks: np.ndarray) -> None:
    if not masks.any():
        raise InputError(f"{path} has no foreground in any frame; the object must be white, or palette index 1 and up")
    border = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], axis=1)
    if masks.mean() > 0.5 and border.mean() > 0.9:
        raise InputError(
            f"{path} looks turned inside out: foreground fills {masks.mean():.0%} and nearly the whole border; "
            f"the object must be white, or say that it is black"
        )


def _resized(path: Path, masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    height, width = masks.shape[1:]
    if abs(width / height * size[0] / size[1] - 1) > _SAME_ASPECT:
        raise InputError(
            f"{path} is {width}x{height}, the clip {size[1]}x{size[0]}: another shape; give masks drawn on the clip"
        )
    interpolation = cv2.INTER_AREA if size[0] < height else cv2.INTER_LINEAR
    resized = [cv2.resize(mask.astype(np.float32), (size[1], size[0]), interpolation=interpolation) for mask in masks]
    return np.stack(resized) >= 0.5
