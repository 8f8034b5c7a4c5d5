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

from mvmodel.motion.distance import compute_distances

UNGROUPED = "without a motion"


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


def compute_map_positions(descriptors: pd.DataFrame) -> np.ndarray:
    """Positions on a map, float (clips, 2), whose distances approximate the clips' distances (metric MDS)."""
    if len(descriptors) < 3:
        return np.column_stack([np.arange(len(descriptors)), np.zeros(len(descriptors))]).astype(float)
    model = MDS(n_components=2, metric="precomputed", random_state=0, n_init=4, init="random")
    positions: np.ndarray = model.fit_transform(compute_distances(descriptors))
    return positions
