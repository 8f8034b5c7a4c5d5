"""Plots of clips grouped into motions: a map on which clips that move alike lie close, and every motion's trajectories.

The map and the trajectories are drawn here on matplotlib axes; `mvmodel.reports.grouping` draws them into reports.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from sklearn.manifold import MDS

from mvmodel.motion.distance import compute_distances

_COLUMNS = 4
UNGROUPED = "without a motion"


@dataclass(frozen=True)
class MotionMap:
    """The data of the plots.

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


def draw_overview(motion_map: MotionMap) -> Image.Image:
    """Draw the map and every motion's trajectories as one picture. Training clips are filled and dark."""
    groups = motion_map.groups()
    palette = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    colours = dict(zip((name for name, _ in groups), palette, strict=False))
    rows = 2 + -(-max(len(groups), 1) // _COLUMNS)
    figure = Figure(figsize=(10, 2.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, _COLUMNS)
    overview = figure.add_subplot(grid[:2, :])
    draw_positions(overview, motion_map, lambda name: (colours.get(name, "grey"), "o"))
    overview.set_title("motions: clips that move alike are close; training clips are filled")
    overview.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    for number, (name, members) in enumerate(groups):
        panel = figure.add_subplot(grid[2 + number // _COLUMNS, number % _COLUMNS])
        draw_trajectories(panel, members, motion_map.trajectories, colours.get(name, "grey"))
        panel.set_title(name, fontsize=9)
        panel.tick_params(labelsize=6)
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())  # type: ignore[attr-defined]


def draw_positions(axes: Any, motion_map: MotionMap, style: Callable[[str], tuple[Any, str]]) -> None:
    """Draw every clip as a point on matplotlib axes, training clips filled.

    style: a motion's name -> its colour and marker.
    """
    for name, rows in motion_map.groups():
        colour, marker = style(name)
        x, y = np.array([motion_map.positions[clip] for clip in rows["clip"]]).T
        selected = rows["selected"].to_numpy(bool)
        axes.scatter(x[selected], y[selected], s=36, color=[colour], marker=marker, label=f"{name} ({len(rows)})")
        axes.scatter(x[~selected], y[~selected], s=36, facecolors="none", edgecolors=[colour], marker=marker)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")


def draw_trajectories(axes: Any, rows: pd.DataFrame, trajectories: Mapping[str, np.ndarray], colour: Any) -> None:
    """Draw the trajectories of some clips on matplotlib axes, a dot at each end. Training clips are dark."""
    for clip, selected in zip(rows["clip"], rows["selected"], strict=True):
        x, y = trajectories[str(clip)].T
        axes.plot(x, y, color=colour, alpha=0.9 if selected else 0.35, linewidth=1.2)
        axes.plot(x[-1:], y[-1:], "o", color=colour, markersize=3, alpha=0.9 if selected else 0.35)
    axes.set_aspect("equal", adjustable="datalim")
