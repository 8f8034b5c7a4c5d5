"""What a report shows: generated videos with their control masks, detections and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mvmodel.errors import InputError


@dataclass(frozen=True)
class VideoEntry:
    """A generated video with its control masks.

    name: the request's name, the same in every condition. frames: uint8 RGB (frames, height, width, 3). masks: control
    masks, bool (frames, height, width). detected: the foreground that the judge found, bool, same shape, or None.
    Raises InputError when the shapes do not fit.
    """

    name: str
    prompt: str
    condition: str
    frames: np.ndarray
    masks: np.ndarray
    fps: float
    metrics: Mapping[str, float]
    detected: np.ndarray | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for what in (self.masks, self.detected):
            if what is not None and what.shape != self.frames.shape[:3]:
                raise InputError(f"video {self.name}: masks {what.shape} do not fit frames {self.frames.shape}")


def rank_videos(videos: Sequence[VideoEntry], count: int) -> tuple[list[VideoEntry], list[VideoEntry]]:
    """The full method's `count` best and `count` worst videos by IoU, best first; none is in both lists."""
    full = [video for video in videos if video.condition == "full" and "iou" in video.metrics]
    ranked = sorted(full, key=lambda video: -video.metrics["iou"])
    return ranked[:count], ranked[count:][-count:]
