"""Finds frames that the decoder marks as corrupt among a few of a long file, without decoding all before them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvmodel.video.containers import AV_ERRORS, VideoInfo, open_video
from mvmodel.video.guard import beat

_SEEK_SECONDS = 5.0
"""A frame that is so much later than the one before is looked for from the keyframe before it."""


def are_intact(path: Path, info: VideoInfo, indices: Sequence[int]) -> bool:
    """Whether PyAV finds these frames, and marks none of them as corrupt. indices: rising, of a video file.

    False also if it cannot tell, because the file cannot be searched: whoever asks then decodes from the beginning.
    """
    try:
        with open_video(path) as container:
            stream = container.streams.video[0]
            frames = container.decode(stream)
            frame = next(frames)
            if frame.time is None or stream.time_base is None:
                return False
            begin = frame.time
            for index in indices:
                time = begin + info.times[index]
                tolerance = 0.25 / info.fps
                if frame.time is None or time - frame.time > _SEEK_SECONDS:
                    container.seek(int((time - tolerance) / stream.time_base), stream=stream)
                    frames = container.decode(stream)
                    frame = next(frames)
                while frame.time is not None and frame.time < time - tolerance:
                    beat()
                    frame = next(frames)
                if frame.time is None or abs(frame.time - time) > tolerance or frame.is_corrupt:
                    return False
    except (*AV_ERRORS, StopIteration):
        return False
    return True
