"""Writing frames: H.264 files that browsers play, and folders of PNGs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from mvmodel.errors import InputError
from mvmodel.files import atomic_folder, atomic_write
from mvmodel.video.frames import check_frames

_REPEATABLE = "mbtree=0:b-adapt=0:scenecut=0:weightp=0"
"""x264 without its lookahead's estimates: with them, one file in fifty came out with other bytes (measured)."""


def write_mp4(path: Path, frames: np.ndarray, fps: float, crf: int = 16) -> Path:
    """Writes frames as H.264 yuv420p. The same frames give the same bytes.

    An odd height or width is padded by repeating the last row or column, since yuv420p needs even sizes. Raises
    InputError for another shape or dtype.

    Args:
        path: The .mp4 file.
        frames: uint8 RGB (frames, height, width, 3).
        fps: Frames per second.
        crf: x264's quality, 0 (lossless except for colour) to 51.
    """
    check_frames(frames)
    height, width = frames.shape[1:3]
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with (
        atomic_write(Path(path)) as temporary_path,
        av.open(str(temporary_path), "w", format="mp4", options=options) as file,
    ):
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
    """Writes 00000.png, 00001.png, ... into `folder`, which is replaced.

    Args:
        folder: The folder.
        frames: uint8 RGB (frames, height, width, 3), or masks, bool (frames, height, width), written as 0/255 grey.
    """
    pictures = frames.astype(np.uint8) * 255 if frames.dtype == np.bool_ else frames
    if pictures.ndim not in (3, 4) or pictures.dtype != np.uint8:
        raise InputError(f"pictures are uint8 (F, H, W, 3) or bool (F, H, W), not {frames.dtype} {frames.shape}")
    with atomic_folder(Path(folder)) as temporary_path:
        for index, picture in enumerate(pictures):
            Image.fromarray(picture).save(temporary_path / f"{index:05d}.png")
    return Path(folder)
