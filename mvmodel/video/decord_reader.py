"""Reading frames with decord, where it can be trusted.

decord 0.6 is fast at random access. But it returns wrong shapes for tiny pictures, reads some damaged files without an
error, and does not know AV1 or GIF. So it is used only if it agrees with PyAV on frame count, shape and first frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.video.containers import VideoInfo

try:
    import decord
except ImportError:  # it has wheels for x86-64 only
    decord = None

_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "mpeg4", "mpeg2video", "mjpeg"})
_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})
"""Pixel formats that decord is tried on; in 10 bit its colours are off by several grey levels."""
_MIN_SIDE = 16
_MAX_DIFFERENCE = 6.0
"""Largest mean difference, in grey levels, at which two decoders' frames count as the same."""
_BATCH_SIZE = 16


def is_supported(info: VideoInfo) -> bool:
    """Whether decord is installed and may be tried on a clip of this kind."""
    is_plain = info.codec in _CODECS and info.pixels in _PIXEL_FORMATS and not info.rotation
    return decord is not None and is_plain and min(info.width, info.height) >= _MIN_SIDE


def open_decord(path: Path, info: VideoInfo, first_frame: np.ndarray) -> Any | None:
    """A decord reader of a supported clip, or None if it disagrees with PyAV.

    Args:
        path: The video file.
        info: The file's probe.
        first_frame: The first frame by PyAV, uint8 RGB (height, width, 3).
    """
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        if len(reader) != info.frames:
            return None
        frame = reader[0].asnumpy()
        reader[len(reader) - 1]
    except (RuntimeError, decord.DECORDError, IndexError, OSError):
        return None
    if frame.shape != (info.height, info.width, 3):
        return None
    return reader if np.abs(frame.astype(np.int16) - first_frame).mean() <= _MAX_DIFFERENCE else None


def read_batches(reader: Any, indices: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (index, frame uint8 RGB (height, width, 3)). Stops early where decord cannot read on."""
    for start in range(0, len(indices), _BATCH_SIZE):
        batch = indices[start : start + _BATCH_SIZE]
        try:
            frames = reader.get_batch(batch).asnumpy()
        except (RuntimeError, decord.DECORDError, IndexError):
            return
        yield from zip(batch, frames, strict=True)
