"""Finished videos in the format of a file's ending: MP4, WebM, GIF, WebP, or a folder of PNGs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from mvmodel.errors import InputError
from mvmodel.files import atomic_write
from mvmodel.video.animation import gif_delays
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.frames import check_frames

WEBP_QUALITY = 90
"""Pillow's quality of a WebP's pictures, 0 to 100."""
WEBM_QUALITY = 18
"""VP9's constant quality, 0 (best) to 63."""


def write_video(path: Path, frames: np.ndarray, fps: float) -> Path:
    """Writes frames as .mp4, .webm, .gif or .webp, or as a folder of PNGs if the path has no ending.

    The same frames give the same bytes. GIF has 256 colours a frame and times in hundredths of a second. Raises
    InputError for another ending, shape or dtype.

    Args:
        path: The file or folder.
        frames: uint8 RGB (frames, height, width, 3).
        fps: Frames per second. A folder of PNGs does not hold it.
    """
    check_frames(frames)
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        formats = ", ".join(filter(None, _WRITERS))
        raise InputError(f"{path} ends in {suffix}; videos are written as {formats}, or as a folder of PNGs")
    return _WRITERS[suffix](path, frames, fps)


def _write_pngs(path: Path, frames: np.ndarray, fps: float) -> Path:
    return write_png_folder(path, frames)


def write_gif(path: Path, frames: np.ndarray, fps: float) -> Path:
    """Writes frames, uint8 RGB (frames, height, width, 3), as a GIF that loops for ever."""
    delays = [10 * delay for delay in gif_delays(len(frames), fps)]
    return _write_animation(path, frames, duration=delays)


def _write_webp(path: Path, frames: np.ndarray, fps: float) -> Path:
    times = np.round(np.arange(len(frames) + 1) * 1000 / fps).astype(int)
    return _write_animation(path, frames, duration=np.diff(times).tolist(), quality=WEBP_QUALITY, minimize_size=False)


def _write_animation(path: Path, frames: np.ndarray, **options: Any) -> Path:
    pictures = [Image.fromarray(frame) for frame in frames]
    with atomic_write(path) as temporary_path:
        pictures[0].save(temporary_path, save_all=True, append_images=pictures[1:], loop=0, **options)
    return path


def _write_webm(path: Path, frames: np.ndarray, fps: float) -> Path:
    """Writes VP9. An odd height or width is padded by repeating the last row or column, as in MP4."""
    height, width = frames.shape[1:3]
    with (
        atomic_write(path) as temporary_path,
        av.open(str(temporary_path), "w", format="webm", options={"fflags": "+bitexact"}) as file,
    ):
        stream = file.add_stream("libvpx-vp9", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.options = {"crf": str(WEBM_QUALITY), "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "0"}
        for frame in frames:
            even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            file.mux(stream.encode(picture.reformat(format="yuv420p")))
        file.mux(stream.encode(None))
    return path


_WRITERS: dict[str, Callable[[Path, np.ndarray, float], Path]] = {
    "": _write_pngs,
    ".mp4": write_mp4,
    ".webm": _write_webm,
    ".gif": write_gif,
    ".webp": _write_webp,
}
