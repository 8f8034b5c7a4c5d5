"""The map of clips grouped into motions: clips that move alike are close. `reports.motion_map_plots` draws it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.manifold import MDS
from sklearn.neighbors import KNeighborsRegressor

from mvmodel.motion.distance import ClipDistances

UNGROUPED = "without a motion"
MAX_LANDMARKS = 500
"""Clips that the map is fitted to, which takes time and memory with their square. Others are placed among the clips of
these that they are nearest to."""
_NEIGHBOURS = 4


@dataclass(frozen=True)
class MotionMap:
    """Clips on a map, and their trajectories.

    table: `grouping.Groups.table`. positions: clip -> (x, y) on the map. trajectories: clip -> its trajectory, float
    (frames, 2), as `trajectory.compute_trajectory` gives it.
    """

    table: pd.DataFrame
    positions: Mapping[str, tuple[float, float]]
    trajectories: Mapping[str, np.ndarray]

    @classmethod
    def from_groups(cls, descriptors: pd.DataFrame, trajectories: Mapping[str, Any], table: pd.DataFrame) -> MotionMap:
        """Compute the map. descriptors, table: what `grouping.group_clips` was given, and its table."""
        points = compute_map_positions(descriptors)
        positions = {str(clip): (x, y) for clip, (x, y) in zip(descriptors.index, points, strict=True)}
        return cls(table, positions, {clip: np.asarray(values) for clip, values in trajectories.items()})

    def save(self, folder: Path) -> None:
        """Write groups.parquet and map.json into `folder`."""
        self.table.to_parquet(folder / "groups.parquet", index=False)
        trajectories = {clip: values.tolist() for clip, values in self.trajectories.items()}
        content = {"positions": dict(self.positions), "trajectories": trajectories}
        (folder / "map.json").write_text(json.dumps(content))

    @classmethod
    def load(cls, folder: Path) -> MotionMap:
        """Read what `save` wrote."""
        content = json.loads((folder / "map.json").read_text())
        positions = {clip: (x, y) for clip, (x, y) in content["positions"].items()}
        trajectories = {clip: np.array(values) for clip, values in content["trajectories"].items()}
        return cls(pd.read_parquet(folder / "groups.parquet"), positions, trajectories)

    def groups(self) -> list[tuple[str, pd.DataFrame]]:
        """(name, rows of the table) of every motion by name; clips without a motion come last, as `UNGROUPED`."""
        table = self.table.assign(motion=self.table["motion"].replace("", UNGROUPED))
        groups = [(str(name), rows) for name, rows in table.groupby("motion")]
        return sorted(groups, key=lambda group: (group[0] == UNGROUPED, group[0]))

    def largest(self, motions: int, clips: int) -> MotionMap:
        """The map of only the `motions` motions with the most clips, and of at most `clips` clips of each, its training
        clips before others; itself if it has no more."""
        sizes = self.table["motion"].value_counts()
        names = set(sorted(sizes.index, key=lambda name: (-sizes[name], name))[:motions])
        if len(sizes) <= motions and (not len(sizes) or sizes.max() <= clips):
            return self
        rows = self.table[self.table["motion"].isin(names)].sort_values("selected", ascending=False, kind="stable")
        table = rows.groupby("motion").head(clips).sort_index()
        return MotionMap(table, self.positions, self.trajectories)


def compute_map_positions(descriptors: pd.DataFrame) -> np.ndarray:
    """Positions on a map, float (clips, 2), whose distances approximate the clips' distances (metric MDS).

    Of more than `MAX_LANDMARKS` clips, some that are spread evenly over the table are mapped so, and each of the others
    is placed between the four of them that are nearest to it.
    """
    if len(descriptors) < 3:
        return np.column_stack([np.arange(len(descriptors)), np.zeros(len(descriptors))]).astype(float)
    count, distances = len(descriptors), ClipDistances(descriptors)
    landmarks = np.unique(np.linspace(0, count - 1, min(count, MAX_LANDMARKS)).astype(int)).tolist()
    model = MDS(n_components=2, metric="precomputed", random_state=0, n_init=4, init="random")
    positions: np.ndarray = model.fit_transform(distances.between(landmarks, landmarks))
    if len(landmarks) == count:
        return positions
    neighbours = KNeighborsRegressor(_NEIGHBOURS, weights="distance", metric="precomputed")
    neighbours.fit(distances.between(landmarks, landmarks), positions)
    placed: np.ndarray = neighbours.predict(distances.between(range(count), landmarks))
    return placed
