"""The motions whose clips are nearest to a clip, without comparing it with the clips of all motions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mvmodel.motion.distance import ClipDistances

_BLOCK_CLIPS = 256
"""Clips whose distances to all motions are computed together."""
_ROUNDING = 1e-9


class NearestMotions:
    """Finds the motions that clips are nearest to.

    The distance is a metric: a clip is at least as far from every clip of a motion as from one of them, the pivot, less
    the distance from the pivot to the motion's farthest clip. Only motions that may be nearest by this bound are looked
    into.

    distances: of all clips. members: motion -> its clips, at least one each. neighbours: a clip's distance to a motion
    is its mean distance to this many of the motion's clips, the nearest ones.
    """

    def __init__(self, distances: ClipDistances, members: Mapping[str, Sequence[int]], neighbours: int) -> None:
        self._distances, self._members, self._neighbours = distances, members, neighbours
        self._names = list(members)
        self._pivots = [members[name][0] for name in self._names]
        self._radii = np.array(
            [distances.between([members[name][0]], members[name]).max() for name in self._names], float
        )

    def rank(self, clips: Sequence[int], ratio: float = 1.0) -> Iterator[list[tuple[float, str]]]:
        """For each clip, (distance, motion) of the nearest motion, the clip's own included, and then at least of those
        that are at most `ratio` times as far."""
        for start in range(0, len(clips), _BLOCK_CLIPS):
            block = clips[start : start + _BLOCK_CLIPS]
            for clip, bounds in zip(block, self._bounds(block), strict=True):
                yield self._rank_clip(clip, bounds, ratio)

    def find_nearer(
        self, clips: Sequence[int], limits: Sequence[float], own_motions: Sequence[str]
    ) -> Iterator[tuple[float, str] | None]:
        """For each clip, the nearest motion other than its own; None if none can be nearer than its limit."""
        for start in range(0, len(clips), _BLOCK_CLIPS):
            stop = start + _BLOCK_CLIPS
            block = clips[start:stop]
            for clip, bounds, limit, name in zip(
                block, self._bounds(block), limits[start:stop], own_motions[start:stop], strict=True
            ):
                yield next(iter(self._rank_clip(clip, bounds, 1.0, limit, name)), None)

    def distances_within(self) -> dict[int, float]:
        """Clip -> its distance to the other clips of its motion; infinite for the only one."""
        return {
            clip: self._mean_of_nearest(np.delete(row, position))
            for members in self._members.values()
            for position, (clip, row) in enumerate(self._rows(members))
        }

    def _rows(self, members: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Each clip of a motion with its distances to all of them, float (members,)."""
        for start in range(0, len(members), _BLOCK_CLIPS):
            block = members[start : start + _BLOCK_CLIPS]
            yield from zip(block, self._distances.between(block, members), strict=True)

    def _bounds(self, clips: Sequence[int]) -> np.ndarray:
        """How near each clip is to each motion at most: float (clips, motions)."""
        return self._distances.between(clips, self._pivots) - self._radii - _ROUNDING

    def _rank_clip(
        self, clip: int, bounds: np.ndarray, ratio: float, limit: float = np.inf, own_motion: str = ""
    ) -> list[tuple[float, str]]:
        """The nearest motions but `own_motion`, as far as they may be nearer than `limit`."""
        candidates = np.flatnonzero(bounds <= limit)
        candidates = candidates[np.argsort(bounds[candidates], kind="stable")]
        ranked: list[tuple[float, str]] = []
        start, count = 0, 1
        while start < len(candidates):
            if ranked and bounds[candidates[start]] > ratio * ranked[0][0]:
                break
            names = [self._names[number] for number in candidates[start : start + count]]
            ranked += self._measure(clip, [name for name in names if name != own_motion])
            ranked.sort()
            start, count = start + count, 2 * count  # a call costs as much as many more clips in it
        return ranked

    def _measure(self, clip: int, names: Sequence[str]) -> list[tuple[float, str]]:
        """A clip's distance to each of some motions, without itself."""
        groups = [[member for member in self._members[name] if member != clip] for name in names]
        distances = self._distances.between([clip], [member for group in groups for member in group])[0]
        ends = np.cumsum([len(group) for group in groups])
        parts = np.split(distances, ends[:-1]) if names else []
        return [(self._mean_of_nearest(part), name) for part, name in zip(parts, names, strict=True)]

    def _mean_of_nearest(self, distances: np.ndarray) -> float:
        return float(np.sort(distances)[: self._neighbours].mean()) if len(distances) else float("inf")
