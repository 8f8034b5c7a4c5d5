"""Where something happens in footage: shots, active stretches of a fixed camera, and the liveliest window.

All of it works on small grey thumbnails, so an hour of footage costs little memory.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from mvmodel.video.config import CutConfig
from mvmodel.video.containers import VideoInfo
from mvmodel.video.decode import iterate_frames

_LEVELS = 8  # grey levels in one bin of the background's histogram


class Thumbnails:
    """Thumbnails of a range of frames: `indices` int (N,), `thumbs` uint8 grey (N, h, w), `fps` of the thumbnails."""

    def __init__(self, indices: np.ndarray, thumbs: np.ndarray, fps: float) -> None:
        self.indices, self.thumbs, self.fps = indices, thumbs, fps

    def between(self, first: int, last: int) -> Thumbnails:
        """The part whose frame numbers lie in `first` (inclusive) to `last` (exclusive)."""
        inside = (self.indices >= first) & (self.indices < last)
        return Thumbnails(self.indices[inside], self.thumbs[inside], self.fps)

    def change(self) -> np.ndarray:
        """Mean grey difference of each thumbnail to the one before; 0 for the first, float (N,)."""
        steps = np.abs(np.diff(self.thumbs.astype(np.int16), axis=0)).mean(axis=(1, 2))
        return np.concatenate([[0.0], steps])


def read_thumbnails(path: Path, info: VideoInfo, first: int, last: int, config: CutConfig) -> Thumbnails:
    """Look at frames `first` to `last` (exclusive) of a clip in small. Raises UnusableClip when it breaks there."""
    import cv2

    stride = max(1, round(info.fps / config.scan_fps))
    indices = np.arange(first, last, stride)
    size = (config.thumbnail_width, max(8, round(config.thumbnail_width * info.height / info.width)))
    thumbs = [
        cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        for _, frame in iterate_frames(path, info, indices.tolist())
    ]
    return Thumbnails(indices, np.stack(thumbs), info.fps / stride)


def detect_shots(seen: Thumbnails, last: int, config: CutConfig) -> list[tuple[int, int]]:
    """Frame ranges between hard cuts, in order; together they cover the scan up to frame `last`.

    PySceneDetect's adaptive detector on the thumbnails' brightness: a change counts when it is large, and large beside
    the changes around it, so that a fast pan is no cut.
    """
    from scenedetect import FrameTimecode
    from scenedetect.detectors import AdaptiveDetector

    detector = AdaptiveDetector(
        adaptive_threshold=config.min_shot_ratio,
        min_content_val=config.min_shot_change,
        min_scene_len=1,
        luma_only=True,
    )
    # The detector looks at two changes on both sides: repeated frames at the end let it see the last ones.
    padded = np.concatenate([seen.thumbs, np.repeat(seen.thumbs[-1:], detector.window_width, axis=0)])
    cuts: list[int] = []
    for number, thumb in enumerate(padded):
        colour = np.repeat(thumb[..., None], 3, axis=2)
        cuts += [cut.frame_num for cut in detector.process_frame(FrameTimecode(number, 10.0), colour)]
    edges = [int(seen.indices[0]), *(int(seen.indices[cut]) for cut in cuts), last]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def estimate_background(thumbs: np.ndarray) -> np.ndarray:
    """The most frequent grey level of every pixel, float (h, w).

    Not the median: people who stop at the same place one after another fill it more than half of the time, each in
    other colours.
    """
    count, height, width = thumbs.shape
    bins = (thumbs.reshape(count, -1) // _LEVELS).astype(np.int64)
    pixels, kinds = bins.shape[1], 256 // _LEVELS
    votes = np.bincount((bins + np.arange(pixels) * kinds).ravel(), minlength=pixels * kinds).reshape(pixels, kinds)
    padded = np.pad(votes, ((0, 0), (1, 1)))
    best = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]).argmax(axis=1)
    near = np.abs(bins - best) <= 1
    level = np.where(near, thumbs.reshape(count, -1), 0).sum(axis=0) / np.maximum(near.sum(axis=0), 1)
    return level.reshape(height, width)


def find_active_ranges(seen: Thumbnails, last: int, config: CutConfig) -> list[tuple[int, int]]:
    """Frame ranges of one shot in which something is there that the fixed camera does not show otherwise.

    A moving camera, or a shot that never rests, comes back whole (divided when longer than `max_seconds`).
    """
    first = int(seen.indices[0])
    if len(seen.thumbs) < 3:
        return [(first, last)]
    away = np.abs(seen.thumbs - estimate_background(seen.thumbs)[None]) > config.foreground_threshold
    presence = away.mean(axis=(1, 2))
    active = presence > min(float(np.quantile(presence, 0.05)), 0.05) + config.min_active_share
    runs = _runs(active, gap=round(config.max_gap_seconds * seen.fps))
    shortest = max(2, round(config.min_seconds * seen.fps))
    runs = [(a, b) for a, b in runs if b - a >= shortest]
    if not runs:
        return []
    pad = round(config.pad_seconds * seen.fps)
    found = []
    for a, b in runs:
        low = int(seen.indices[max(0, a - pad)])
        high = last if b + pad >= len(seen.indices) else int(seen.indices[b + pad])
        found += _divide(low, high, config.max_seconds * seen.fps * _stride(seen))
    return found


def _stride(seen: Thumbnails) -> int:
    return int(seen.indices[1] - seen.indices[0]) if len(seen.indices) > 1 else 1


def _runs(active: np.ndarray, gap: int) -> list[tuple[int, int]]:
    """Runs of True as (start, end), pauses of at most `gap` bridged."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(int), [0]])))
    runs: list[tuple[int, int]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and start - runs[-1][1] <= gap:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def _divide(first: int, last: int, longest: float) -> list[tuple[int, int]]:
    parts = max(1, int(np.ceil((last - first) / longest)))
    edges = np.linspace(first, last, parts + 1).round().astype(int).tolist()
    return list(pairwise(edges))


def find_liveliest_window(seen: Thumbnails, length: int, end: int) -> int:
    """First frame of the window of `length` frames, before `end`, in which most changes; the earliest of equals."""
    first = int(seen.indices[0])
    latest = end - length
    if latest <= first:
        return first
    change = seen.change()
    starts = [int(index) for index in seen.indices if index <= latest]
    sums = [change[(seen.indices > at) & (seen.indices < at + length)].sum() for at in starts]
    return starts[int(np.argmax(np.asarray(sums) > 0.98 * max(sums)))]
