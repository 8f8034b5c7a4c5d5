"""Moving and still pictures for an HTML page: data addresses and outlines."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmodel.video.contact_sheet import contact_sheet
from mvmodel.video.sampling import evenly_spaced_indices

if TYPE_CHECKING:
    import PIL.Image

_SHOWN_SIDE = 256
"""Smaller videos are enlarged to about this many pixels, so that H.264's halved colour does not smear them."""
_MASK_INK, _MASK_GROUND = np.array([(236, 240, 246), (24, 28, 36)], np.uint8)


def video_address(frames: np.ndarray, fps: float) -> str:
    """A data: address of an H.264 mp4. frames: uint8 RGB (frames, height, width, 3)."""
    from mvmodel.video.encode import write_mp4

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_mp4(path, _enlarged(frames), fps, crf=20)
        return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()


def mask_picture(masks: np.ndarray) -> np.ndarray:
    """Masks as pictures: uint8 (frames, height, width, 3), light on dark."""
    return np.where(masks[..., None], _MASK_INK, _MASK_GROUND)


def strip_address(frames: np.ndarray, count: int = 6, height: int = 96) -> str:
    """A data: address of a JPEG with `count` frames side by side, evenly spread, for print and for close looking."""
    from PIL import Image

    size = round(frames.shape[2] * height / frames.shape[1]), height
    strip = [
        np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
        for frame in frames[evenly_spaced_indices(count, len(frames))]
    ]
    return _jpeg_address(contact_sheet(strip, columns=count, gap=2))


def still_address(frame: np.ndarray) -> str:
    """A data: address of one frame, uint8 (height, width, 3), as a JPEG of the size that its video is shown at."""
    from PIL import Image

    return _jpeg_address(Image.fromarray(_enlarged(frame[None])[0]))


def _jpeg_address(image: PIL.Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def outlines(masks: np.ndarray) -> list[str]:
    """An SVG path per frame around its mask, in units of the picture (0..1000 across, scaled alike down)."""
    import cv2

    unit = 1000 / masks.shape[2]
    paths = []
    for mask in masks:
        big = cv2.resize(mask.astype(np.uint8), None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
        contours, _ = cv2.findContours(big, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        parts = []
        for contour in contours:
            points = cv2.approxPolyDP(contour, 1.6, True)[:, 0] / 4 * unit
            if len(points) > 2:
                parts.append("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points) + "Z")
        paths.append("".join(parts))
    return paths


def _enlarged(frames: np.ndarray) -> np.ndarray:
    import cv2

    height, width = frames.shape[1:3]
    factor = round(_SHOWN_SIDE / min(height, width))
    if factor < 2:
        return frames
    size = (width * factor, height * factor)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in frames])
