"""Reads single pictures: one reader for frames of clips, first frames and masks.

A picture is turned as its EXIF orientation says. Transparent parts are composed on mid grey. More than 8 bits are
brought to 8 by levels that are chosen once per clip, so that its frames do not flicker.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mvmodel.video.config import DecodeLimits

PICTURE_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError),
    *(av.error.FFmpegError, cv2.error),
)
"""What the libraries raise for a damaged picture."""
ALPHA_BACKGROUND = 128
"""Grey level behind transparent parts. Neither dark nor bright objects vanish in front of it."""
ALPHA_NOTE = f"its transparent parts are shown on mid grey ({ALPHA_BACKGROUND})"
"""What is said of a clip or picture with transparent parts."""
_logger = logging.getLogger(__name__)
_OPAQUE = 127
"""Alpha above which a pixel belongs to the object."""
_EXIF_ORIENTATION = 0x0112
_DEPTHS = (8, 10, 12, 14, 16)
_MIN_SPREAD = 1 / 8
"""Share of the full range that a picture's values have to fill; else they are stretched."""
_PERCENTILES = (0.1, 99.9)


@dataclass(frozen=True)
class Picture:
    """A picture as stored, turned upright.

    values: grey (height, width) or RGB (height, width, 3); uint8, or uint16, int32 or float32 if it has more than
    8 bits. alpha: uint8 (height, width), or None for an opaque picture. is_linear: the values are linear light, as in
    OpenEXR.
    """

    values: np.ndarray
    alpha: np.ndarray | None = None
    is_linear: bool = False

    @property
    def is_deep(self) -> bool:
        """Whether it has more than 8 bits a channel."""
        return self.values.dtype != np.uint8

    @property
    def is_transparent(self) -> bool:
        """Whether any pixel is not opaque."""
        return self.alpha is not None and bool((self.alpha < 255).any())

    @property
    def opaque(self) -> np.ndarray:
        """The pixels of the object by the alpha channel, bool (height, width)."""
        return np.ones(self.values.shape[:2], bool) if self.alpha is None else self.alpha > _OPAQUE


def read_picture(path: Path) -> Picture:
    """Reads one picture file, or the first picture of an animated one. Raises PICTURE_ERRORS."""
    path = Path(path)
    if not is_pillow_format(path):
        return _read_openexr(path) if path.suffix.lower() == ".exr" else _read_with_opencv(path, 1)
    with Image.open(path) as image:
        check_picture_size(image.size)
        if _has_deep_colours(image):
            return _read_with_opencv(path, image.getexif().get(_EXIF_ORIENTATION, 1))
        return to_picture(image)


def check_picture_size(size: tuple[int, int], limits: DecodeLimits = DecodeLimits()) -> None:
    """Raises ValueError for a picture of more pixels than the limit. size: (width, height) by the header."""
    if size[0] * size[1] > limits.pixels:
        raise ValueError(f"{size[0]}x{size[1]} is more than the limit of {limits.pixels:,} pixels; scale it down")


def is_pillow_format(path: Path) -> bool:
    """Whether Pillow knows the format: not OpenEXR, and not TIFF with several float channels.

    Raises OSError, and ValueError for a picture beyond the size that Pillow opens at all.
    """
    try:
        with Image.open(path):
            return True
    except UnidentifiedImageError:
        return False
    except Image.DecompressionBombError as error:  # Pillow's own sentence speaks of an attack
        raise ValueError(f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; scale it down") from error


def read_rgb(path: Path) -> np.ndarray:
    """A picture file as uint8 RGB (height, width, 3), at levels of its own.

    Logs what became of transparent parts and of more than 8 bits. Raises PICTURE_ERRORS.
    """
    picture = read_picture(path)
    levels, note = choose_levels([picture])
    for sentence in (note, ALPHA_NOTE if picture.is_transparent else ""):
        if sentence:
            _logger.warning("%s: %s", path, sentence)
    return to_rgb(picture, levels)


def to_picture(image: Image.Image) -> Picture:
    """A picture from one that Pillow has opened, or from the frame that it is at."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        values = np.asarray(upright)
        return Picture(values.astype(values.dtype.newbyteorder("=")))
    if upright.has_transparency_data:
        rgba = np.asarray(upright.convert("RGBA"))
        return Picture(rgba[..., :3], rgba[..., 3])
    return Picture(np.asarray(upright.convert("RGB")))


def choose_levels(pictures: Sequence[Picture]) -> tuple[tuple[float, float] | None, str]:
    """Which values become black and white in a clip's pictures, and a sentence that says so.

    None and "" for pictures of 8 bits. Whole numbers keep the full range of the smallest depth that contains them (10,
    12, 14 or 16 bits), float numbers 0 to 1 or 0 to 255. Values that fill less than an eighth of it are stretched
    between their 0.1 and 99.9 percentiles.
    """
    deep = [picture for picture in pictures if picture.is_deep]
    if not deep:
        return None, ""
    values = np.concatenate([picture.values[picture.opaque].ravel() for picture in deep])
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not len(values):
        values = np.zeros(1, np.uint16)
    low, high = 0.0, _full_range(values, any(picture.is_linear for picture in deep))
    first, last = (float(value) for value in np.percentile(values, _PERCENTILES))
    is_stretched = values.min() < 0 or last - first < _MIN_SPREAD * high
    if is_stretched and last > first:
        low, high = first, last
    curve = " and sRGB's curve" if any(picture.is_linear for picture in deep) else ""
    kind = "float" if values.dtype.kind == "f" else "16-bit"
    what = "percentiles 0.1 and 99.9" if low or is_stretched else "full range"
    return (low, high), f"its {kind} pictures are shown from {low:g} (black) to {high:g} (white), the {what}{curve}"


def _full_range(values: np.ndarray, is_linear: bool) -> float:
    """The value that becomes white if nothing is stretched."""
    highest = float(values.max())
    if values.dtype.kind == "f":
        if is_linear:
            return max(1.0, float(np.percentile(values, 99)))
        return 1.0 if highest <= 1 else 255.0 if highest <= 255 else highest
    return next((float(2**depth - 1) for depth in _DEPTHS if highest < 2**depth), highest)


def to_rgb(picture: Picture, levels: tuple[float, float] | None = None) -> np.ndarray:
    """A picture as uint8 RGB (height, width, 3), with transparent parts composed on mid grey.

    Args:
        picture: The picture.
        levels: Values of black and white, from `choose_levels`; used if it has more than 8 bits.
    """
    values = picture.values
    if picture.is_deep:
        low, high = levels or choose_levels([picture])[0] or (0.0, 65535.0)
        share = np.clip((np.nan_to_num(values.astype(np.float32)) - low) / max(high - low, 1e-12), 0, 1)
        if picture.is_linear:
            share = np.where(share <= 0.0031308, 12.92 * share, 1.055 * share ** (1 / 2.4) - 0.055)
        # 65535 of 65536 steps: 16-bit values that are 8-bit ones repeated come out as those.
        values = np.minimum(share * 255.999, 255).astype(np.uint8)
    rgb = values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)
    return compose(rgb, picture.alpha) if picture.is_transparent else rgb


def compose(rgb: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Colours, uint8 (height, width, 3), in front of mid grey where alpha, uint8 (height, width), lets it through."""
    if alpha is None:
        return rgb
    weight = alpha[..., None].astype(np.float32) / 255
    mixed: np.ndarray = (rgb * weight + ALPHA_BACKGROUND * (1 - weight)).round().astype(np.uint8)
    return mixed


def is_lossy_webp(path: Path) -> bool:
    """Whether any picture of a WebP file was compressed with losses. Raises OSError."""
    with open(path, "rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            name, size = head[:4], int.from_bytes(head[4:], "little")
            if name == b"VP8 ":
                return True
            # A frame of an animation has 16 bytes of its own before its chunks.
            file.seek(16 if name == b"ANMF" else size + size % 2, 1)
    return False


def _has_deep_colours(image: Image.Image) -> bool:
    """Whether a colour picture is stored with 16 bits, of which Pillow keeps 8."""
    return image.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile) for tile in getattr(image, "tile", ()))


def _read_with_opencv(path: Path, orientation: int) -> Picture:
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError("no picture format that is known")
    if values.ndim == 3:
        values = cv2.cvtColor(values, cv2.COLOR_BGRA2RGBA if values.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    values = _turn(values, orientation)
    if values.dtype not in (np.uint8, np.uint16, np.int32, np.float32):
        values = values.astype(np.float32)
    return _split_alpha(values, is_linear=False)


def _read_openexr(path: Path) -> Picture:
    with av.open(str(path.absolute()), format="exr_pipe") as container:
        frame = next(container.decode(video=0))
    if frame.format.name.startswith("gray"):
        return Picture(frame.to_ndarray(format="grayf32le"), is_linear=True)
    if not frame.format.name.startswith("gbra"):
        return Picture(frame.to_ndarray(format="gbrpf32le"), is_linear=True)
    values = frame.to_ndarray(format="gbrapf32le")
    opacity = values[..., 3:]
    # OpenEXR stores colours multiplied by their alpha.
    values[..., :3] = np.divide(values[..., :3], opacity, out=values[..., :3].copy(), where=opacity > 0)
    return _split_alpha(values, is_linear=True)


def _split_alpha(values: np.ndarray, is_linear: bool) -> Picture:
    """RGB or RGBA values, in which 1 or the highest whole number is opaque."""
    if values.ndim < 3 or values.shape[2] == 3:
        return Picture(values, None, is_linear)
    opaque = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
    alpha = np.clip(values[..., 3].astype(np.float32) / opaque * 255, 0, 255).round().astype(np.uint8)
    return Picture(np.ascontiguousarray(values[..., :3]), alpha, is_linear)


def _turn(values: np.ndarray, orientation: int) -> np.ndarray:
    """An array of pixels turned and mirrored as an EXIF orientation says."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)
