"""Where something happens in footage: shots, active ranges of a fixed camera, and the liveliest window.

All of it works on small grey thumbnails, so an hour of footage needs little memory.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from mvmodel.video.config import CutConfig, IngestConfig
from mvmodel.video.containers import VideoInfo
from mvmodel.video.decode import iterate_thumbnails

_GREY_LEVELS_PER_BIN = 8
"""Of the background's histogram."""


class Thumbnails:
    """Thumbnails of a range of frames.

    indices: frame numbers, int (thumbnails,). pictures: uint8 grey (thumbnails, height, width). fps: thumbnails per
    second.
    """

    def __init__(self, indices: np.ndarray, pictures: np.ndarray, fps: float) -> None:
        self.indices, self.pictures, self.fps = indices, pictures, fps

    def select(self, first: int, last: int) -> Thumbnails:
        """The thumbnails of frames `first` (inclusive) to `last` (exclusive)."""
        selection = (self.indices >= first) & (self.indices < last)
        return Thumbnails(self.indices[selection], self.pictures[selection], self.fps)

    def change(self) -> np.ndarray:
        """Mean grey difference of each thumbnail from the one before, float (thumbnails,); 0 for the first."""
        steps = np.abs(np.diff(self.pictures.astype(np.int16), axis=0)).mean(axis=(1, 2))
        return np.concatenate([[0.0], steps])


def read_thumbnails(path: Path, info: VideoInfo, first: int, last: int, ingest_config: IngestConfig) -> Thumbnails:
    """Thumbnails of frames `first` (inclusive) to `last` (exclusive). Raises UnusableClip if they are damaged."""
    config = ingest_config.cut
    stride = max(1, round(info.fps / config.scan_fps))
    indices = np.arange(first, last, stride)
    size = (config.thumbnail_width, max(8, round(config.thumbnail_width * info.height / info.width)))
    pictures = [p for _, p in iterate_thumbnails(path, info, indices.tolist(), size, ingest_config.limits, last)]
    return Thumbnails(indices, np.stack(pictures), info.fps / stride)


def detect_shots(thumbnails: Thumbnails, last: int, config: CutConfig) -> list[tuple[int, int]]:
    """Frame ranges between hard cuts, in order. Together they cover all frames up to `last`.

    Uses PySceneDetect's adaptive detector on the thumbnails' brightness: a cut is a large change that is also large
    compared with the changes around it, so a fast pan is no cut.
    """
    if thumbnails.change().max(initial=0.0) < config.min_shot_change:  # no change is large enough for a cut
        return [(int(thumbnails.indices[0]), last)]
    detector = AdaptiveDetector(
        adaptive_threshold=config.min_shot_ratio,
        min_content_val=config.min_shot_change,
        min_scene_len=1,
        luma_only=True,
    )
    # The detector needs two changes on both sides: repeated frames at the end let it find the last cuts.
    repeated = np.repeat(thumbnails.pictures[-1:], detector.window_width, axis=0)
    cuts: list[int] = []
    for number, picture in enumerate(np.concatenate([thumbnails.pictures, repeated])):
        colour = np.repeat(picture[..., None], 3, axis=2)
        cuts += [cut.frame_num for cut in detector.process_frame(FrameTimecode(number, 10.0), colour)]
    edges = [int(thumbnails.indices[0]), *(int(thumbnails.indices[cut]) for cut in cuts), last]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def estimate_background(pictures: np.ndarray) -> np.ndarray:
    """The most frequent grey level of every pixel of pictures, uint8 (pictures, height, width): float (height, width).

    The median would not do: people who stop at the same place one after another fill it more than half of the time,
    each in other colours.
    """
    count, height, width = pictures.shape
    levels = pictures.reshape(count, -1)
    bins = (levels // _GREY_LEVELS_PER_BIN).astype(np.int64)
    pixels, bin_count = bins.shape[1], 256 // _GREY_LEVELS_PER_BIN
    votes = np.bincount((bins + np.arange(pixels) * bin_count).ravel(), minlength=pixels * bin_count)
    padded = np.pad(votes.reshape(pixels, bin_count), ((0, 0), (1, 1)))
    best_bin = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]).argmax(axis=1)
    is_near = np.abs(bins - best_bin) <= 1
    background = np.where(is_near, levels, 0).sum(axis=0) / np.maximum(is_near.sum(axis=0), 1)
    return background.reshape(height, width)


def find_active_ranges(thumbnails: Thumbnails, last: int, config: CutConfig) -> list[tuple[int, int]]:
    """Frame ranges of one shot in which something is there that the fixed camera usually does not show.

    A shot of a moving camera, or one that is never empty, is returned as a whole (divided if longer than
    `max_seconds`).
    """
    first = int(thumbnails.indices[0])
    if len(thumbnails.pictures) < 3:
        return [(first, last)]
    background = estimate_background(thumbnails.pictures)
    foreground = np.abs(thumbnails.pictures - background[None]) > config.foreground_threshold
    foreground_share = foreground.mean(axis=(1, 2))
    quiet_level = min(float(np.quantile(foreground_share, 0.05)), 0.05)
    runs = _find_runs(
        foreground_share > quiet_level + config.min_active_share, round(config.max_gap_seconds * thumbnails.fps)
    )
    min_length = max(2, round(config.min_seconds * thumbnails.fps))
    padding = round(config.pad_seconds * thumbnails.fps)
    stride = int(thumbnails.indices[1] - thumbnails.indices[0]) if len(thumbnails.indices) > 1 else 1
    ranges = []
    for start, end in runs:
        if end - start < min_length:
            continue
        low = int(thumbnails.indices[max(0, start - padding)])
        is_last = end + padding >= len(thumbnails.indices)
        high = last if is_last else int(thumbnails.indices[end + padding])
        ranges += _divide(low, high, config.max_seconds * thumbnails.fps * stride)
    return ranges


def _find_runs(active: np.ndarray, max_gap: int) -> list[tuple[int, int]]:
    """Runs of True as (start, end). Gaps of at most `max_gap` do not end a run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(int), [0]])))
    runs: list[tuple[int, int]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and start - runs[-1][1] <= max_gap:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def _divide(first: int, last: int, max_length: float) -> list[tuple[int, int]]:
    """Equal parts of a range that are at most `max_length` long."""
    parts = max(1, int(np.ceil((last - first) / max_length)))
    edges = np.linspace(first, last, parts + 1).round().astype(int).tolist()
    return list(pairwise(edges))


def find_liveliest_window(thumbnails: Thumbnails, length: int, end: int) -> int:
    """First frame of the window of `length` frames before `end` with the most change, the earliest of near equals."""
    first = int(thumbnails.indices[0])
    latest = end - length
    if latest <= first:
        return first
    change = thumbnails.change()
    starts = [int(index) for index in thumbnails.indices if index <= latest]
    sums = [change[(thumbnails.indices > start) & (thumbnails.indices < start + length)].sum() for start in starts]
    return starts[int(np.argmax(np.asarray(sums) > 0.98 * max(sums)))]
