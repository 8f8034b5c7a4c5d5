"""Frames out: H.264 files that browsers play, PNG folders, contact sheets."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmodel.errors import InputError
from mvmodel.files import folder_aside, write_aside

if TYPE_CHECKING:
    import PIL.Image

_TINT = (255, 64, 64)
_REPEATABLE = "mbtree=0:b-adapt=0:scenecut=0:weightp=0"
"""x264 without its lookahead's estimates: with them, one file in fifty came out with other bytes (measured)."""


def _checked(frames: np.ndarray) -> np.ndarray:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise InputError(f"frames are uint8 (frames, height, width, 3), not {frames.dtype} {frames.shape}")
    return frames


def write_mp4(path: Path, frames: np.ndarray, fps: float, crf: int = 16) -> Path:
    """Write frames, uint8 RGB (F, H, W, 3), as H.264 yuv420p; the same frames give the same bytes.

    An odd height or width gets one repeated row or column, since yuv420p has none. crf: x264's quality, 0 (lossless
    but for colour) to 51. Raises InputError for another shape or dtype.
    """
    import av

    frames = _checked(frames)
    height, width = frames.shape[1:3]
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with write_aside(Path(path)) as aside, av.open(str(aside), "w", format="mp4", options=options) as file:
        stream = file.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.options = {"crf": str(crf), "preset": "medium", "x264-params": _REPEATABLE}
        for frame in frames:
            even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # frames may not fit in memory
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            file.mux(stream.encode(picture.reformat(format="yuv420p")))
        file.mux(stream.encode(None))
    return Path(path)


def write_png_folder(folder: Path, frames: np.ndarray) -> Path:
    """Write 00000.png, 00001.png, .. into `folder`, which is replaced.

    frames: uint8 (F, H, W, 3), or bool (F, H, W) which becomes 0/255 grey.
    """
    from PIL import Image

    pictures = frames.astype(np.uint8) * 255 if frames.dtype == np.bool_ else frames
    if pictures.ndim not in (3, 4) or pictures.dtype != np.uint8:
        raise InputError(f"pictures are uint8 (F, H, W, 3) or bool (F, H, W), not {frames.dtype} {frames.shape}")
    with folder_aside(Path(folder)) as aside:
        for index, picture in enumerate(pictures):
            Image.fromarray(picture).save(aside / f"{index:05d}.png")
    return Path(folder)


def overlay(frames: np.ndarray, masks: np.ndarray, strength: float = 0.45) -> np.ndarray:
    """Frames, uint8 (F, H, W, 3), with their masks, bool (F, H, W), tinted in."""
    tinted = frames * (1 - strength) + np.asarray(_TINT, np.float32) * strength
    return np.where(masks[..., None], tinted, frames).astype(np.uint8)


def contact_sheet(frames: np.ndarray, masks: np.ndarray | None = None, columns: int = 8) -> PIL.Image.Image:
    """One picture of all frames in reading order; with masks, each row of frames has its row of masks beneath.

    frames: uint8 (F, H, W, 3). masks: bool (F, H, W) of any size, drawn white on black.
    """
    from PIL import Image

    frames = _checked(frames)
    count, height, width = frames.shape[:3]
    columns = min(columns, count)
    rows = -(-count // columns)
    band = height * (2 if masks is not None else 1)
    sheet = Image.new("RGB", (columns * width, rows * band), "white")
    for index in range(count):
        x, y = index % columns * width, index // columns * band
        sheet.paste(Image.fromarray(frames[index]), (x, y))
        if masks is not None:
            mask = Image.fromarray(masks[index].astype(np.uint8) * 255).resize(
                (width, height), Image.Resampling.NEAREST
            )
            sheet.paste(mask.convert("RGB"), (x, y + height))
    return sheet
