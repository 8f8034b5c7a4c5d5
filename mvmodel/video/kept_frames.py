"""Decoded frames of one file that are kept for a second pass: a clip is chosen only after all frames were looked at."""

from __future__ import annotations

from pathlib import Path

import av


class KeptFrames:
    """The frames of the file that was read last, as the decoder gave them.

    frames: frame number -> frame. They are dropped when another file is read, and when they become too many.
    """

    def __init__(self) -> None:
        self.frames: dict[int, av.VideoFrame] = {}
        self._file: tuple[str, int, int] | None = None
        self._bytes = self._limit = 0

    def begin(self, path: Path, limit: int) -> None:
        """Keeps the frames of this file from now on, up to `limit` bytes."""
        self.drop()
        self._file, self._limit = _identify(path), limit

    def add(self, path: Path, index: int, frame: av.VideoFrame) -> None:
        """Keeps a frame if it is of the file that `begin` named. With one too many, all are dropped."""
        if self._file is None or self._file[0] != str(path):
            return  # masks of a clip may be read between its two passes
        self._bytes += sum(plane.buffer_size for plane in frame.planes)
        if self._bytes > self._limit:
            self.drop()
        else:
            self.frames[index] = frame

    def select(self, path: Path, indices: list[int]) -> list[av.VideoFrame] | None:
        """The frames of a file with these numbers, or None if one is not kept."""
        if self._file is None or self._file != _identify(path) or not all(index in self.frames for index in indices):
            return None
        return [self.frames[index] for index in indices]

    def drop(self) -> None:
        """Frees all frames."""
        self.frames.clear()
        self._file, self._bytes = None, 0


def _identify(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


kept_frames = KeptFrames()
"""The worker's. In other processes nothing is kept."""
