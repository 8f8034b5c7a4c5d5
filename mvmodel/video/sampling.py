"""Sampling in time: which frames are taken."""

from __future__ import annotations

import cv2
import numpy as np


def evenly_spaced_indices(count: int, total: int, repeat: bool = False) -> np.ndarray:
    """Indices of `count` frames spread evenly over `total`, the first and the last included; int, rising.

    Args:
        count: Number of indices, at least 1.
        total: Number of frames to choose from, at least 1.
        repeat: With fewer than `count` frames, repeat some, so that there are always `count` indices. Otherwise every
            frame is taken once.
    """
    return np.linspace(0, total - 1, count if repeat else min(count, total)).round().astype(int)


def nearest_frame_indices(
    times: np.ndarray, first: int, last: int, start: float, frames: int, step: float
) -> np.ndarray:
    """Indices of the frames displayed at `start` + i * `step` seconds for i < `frames`; int (frames,), rising.

    A step finer than the source's repeats frames.

    Args:
        times: When each frame of the source is displayed, in seconds.
        first: First frame that may be taken.
        last: Frame after the last one that may be taken.
        start: Time of the first sample in seconds.
        frames: Number of samples.
        step: Seconds between samples.
    """
    candidate_times = np.asarray(times[first:last])
    sample_times = start + step * np.arange(frames)
    next_index = np.clip(np.searchsorted(candidate_times, sample_times), 1, max(len(candidate_times) - 1, 1))
    previous_index = next_index - 1
    next_index = np.minimum(next_index, len(candidate_times) - 1)
    to_previous = sample_times - candidate_times[previous_index]
    to_next = candidate_times[next_index] - sample_times
    return first + np.where(to_previous <= to_next + 1e-9, previous_index, next_index)


def shrink_to_grey(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A thumbnail, uint8 grey (height, width), of a frame, uint8 RGB. size: (width, height)."""
    return cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
