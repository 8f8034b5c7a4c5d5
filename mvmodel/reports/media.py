"""Moving and still pictures for an HTML page: data URLs and outlines."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from mvmodel.video.contact_sheet import contact_sheet
from mvmodel.video.encode import write_mp4
from mvmodel.video.sampling import evenly_spaced_indices

_DISPLAY_SIDE = 256
"""Smaller videos are enlarged to about this many pixels, so that H.264's halved colour does not smear them."""
_MASK_INK, _MASK_GROUND = np.array([(236, 240, 246), (24, 28, 36)], np.uint8)
_STRIP_GAP = 2


def data_url(content: bytes, media_type: str) -> str:
    """Content as a data: URL, to embed it in a page. media_type: for example "image/png"."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def video_url(frames: np.ndarray, fps: float) -> str:
    """A data: URL of an H.264 mp4. frames: uint8 RGB (frames, height, width, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_mp4(path, _enlarge(frames), fps, crf=20)
        return data_url(path.read_bytes(), "video/mp4")


def paint_masks(masks: np.ndarray) -> np.ndarray:
    """Masks, bool (frames, height, width), as pictures, light on dark: uint8 RGB (frames, height, width, 3)."""
    return np.where(masks[..., None], _MASK_INK, _MASK_GROUND)


def strip_url(frames: np.ndarray, count: int = 6, height: int = 96) -> str:
    """A data: URL of a JPEG with `count` evenly spaced frames side by side, for print and for a closer look.

    frames: uint8 RGB (frames, height, width, 3). height: of the strip, in pixels.
    """
    size = round(frames.shape[2] * height / frames.shape[1]), height
    resized = [
        np.asarray(PIL.Image.fromarray(frame).resize(size, PIL.Image.Resampling.BICUBIC))
        for frame in frames[evenly_spaced_indices(count, len(frames))]
    ]
    return _jpeg_url(contact_sheet(resized, columns=count, gap=_STRIP_GAP))


def still_url(frame: np.ndarray) -> str:
    """A data: URL of one frame, uint8 RGB (height, width, 3), as a JPEG of the size that its video is shown at."""
    return _jpeg_url(PIL.Image.fromarray(_enlarge(frame[None])[0]))


def trace_outlines(masks: np.ndarray) -> list[str]:
    """An SVG path around every mask, in units of the picture's width (0..1000; the same scale vertically).

    masks: bool (frames, height, width).
    """
    unit = 1000 / masks.shape[2]
    paths = []
    for mask in masks:
        enlarged = cv2.resize(mask.astype(np.uint8), None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
        contours, _ = cv2.findContours(enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        parts = []
        for contour in contours:
            points = cv2.approxPolyDP(contour, 1.6, True)[:, 0] / 4 * unit
            if len(points) > 2:
                parts.append("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points) + "Z")
        paths.append("".join(parts))
    return paths


def _jpeg_url(image: PIL.Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82, optimize=True)
    return data_url(buffer.getvalue(), "image/jpeg")


def _enlarge(frames: np.ndarray) -> np.ndarray:
    height, width = frames.shape[1:3]
    factor = round(_DISPLAY_SIDE / min(height, width))
    if factor < 2:
        return frames
    size = (width * factor, height * factor)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in frames])
