"""Groups of motions to look at: each group's ways over each other, and a map on which like clips lie close."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.masks import MaskSequence
from mvmodel.motion.grouping import distances

if TYPE_CHECKING:
    import pandas as pd
    import PIL.Image

_COLUMNS = 4
UNGROUPED = "without a motion"


@dataclass(frozen=True)
class Grouping:
    """What the groups' pictures are drawn from.

    table: `grouping.Groups.table`. places: clip -> (x, y) on the map. ways: clip -> what `way` gave.
    """

    table: pd.DataFrame
    places: Mapping[str, tuple[float, float]]
    ways: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, descriptors: pd.DataFrame, ways: Mapping[str, Any], table: pd.DataFrame) -> Grouping:
        """descriptors: as for `grouping.group`."""
        places = {str(clip): (x, y) for clip, (x, y) in zip(descriptors.index, embedding(descriptors), strict=True)}
        return cls(table, places, {clip: np.asarray(values) for clip, values in ways.items()})

    def save(self, folder: Path) -> None:
        """groups.parquet and map.json in `folder`."""
        self.table.to_parquet(folder / "groups.parquet", index=False)
        ways = {clip: values.tolist() for clip, values in self.ways.items()}
        (folder / "map.json").write_text(json.dumps({"places": dict(self.places), "ways": ways}))

    @classmethod
    def load(cls, folder: Path) -> Grouping | None:
        """What `save` wrote; None where an earlier version of this program kept no map."""
        import pandas as pd

        if not (folder / "map.json").exists():
            return None
        drawn = json.loads((folder / "map.json").read_text())
        places = {clip: (x, y) for clip, (x, y) in drawn["places"].items()}
        ways = {clip: np.array(values) for clip, values in drawn["ways"].items()}
        return cls(pd.read_parquet(folder / "groups.parquet"), places, ways)

    def groups(self) -> list[tuple[str, pd.DataFrame]]:
        """(name, rows) of every group by name, the clips without one last, as `OTHERS`."""
        named = self.table.assign(motion=self.table["motion"].replace("", UNGROUPED))
        found = [(str(name), rows) for name, rows in named.groupby("motion")]
        return sorted(found, key=lambda group: (group[0] == UNGROUPED, group[0]))


def compute_trajectory(sequence: MaskSequence) -> np.ndarray:
    """The way of the foreground's centre, float (frames, 2): x right, y up, in object sizes from where it begins.

    Frames without foreground are bridged; a sequence without any stands still.
    """
    from mvmodel.errors import InputError
    from mvmodel.masks.poses import estimate_poses

    try:
        poses = estimate_poses(sequence.masks)
    except InputError:
        return np.zeros((sequence.frames, 2))
    size = float(np.sqrt(sequence.masks.sum(axis=(1, 2))[sequence.masks.any(axis=(1, 2))].mean()))
    return np.column_stack([poses.x - poses.x[0], poses.y[0] - poses.y]) / size


def embedding(descriptors: pd.DataFrame) -> np.ndarray:
    """Places on a map, float (clips, 2), whose distances are as near as possible to those of the motions."""
    from sklearn.manifold import MDS

    if len(descriptors) < 3:
        return np.column_stack([np.arange(len(descriptors)), np.zeros(len(descriptors))]).astype(float)
    model = MDS(n_components=2, metric="precomputed", random_state=0, n_init=4, init="random")
    placed: np.ndarray = model.fit_transform(distances(descriptors))
    return placed


def draw(grouping: Grouping) -> PIL.Image.Image:
    """The map and every motion's ways as one picture; clips trained on are filled and dark, others hollow and light."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    groups = grouping.groups()
    palette = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    colours = dict(zip((name for name, _ in groups), palette, strict=False))
    rows = 2 + -(-max(len(groups), 1) // _COLUMNS)
    figure = Figure(figsize=(10, 2.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, _COLUMNS)
    overview = figure.add_subplot(grid[:2, :])
    draw_map(overview, grouping, lambda name: (colours.get(name, "grey"), "o"))
    overview.set_title("motions: near is alike; filled is trained on")
    overview.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    for number, (name, own) in enumerate(groups):
        panel = figure.add_subplot(grid[2 + number // _COLUMNS, number % _COLUMNS])
        draw_trajectories(panel, own, grouping.ways, colours.get(name, "grey"))
        panel.set_title(name, fontsize=9)
        panel.tick_params(labelsize=6)
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())  # type: ignore[attr-defined]


def draw_map(axes: Any, grouping: Grouping, style: Callable[[str], tuple[Any, str]]) -> None:
    """Every clip as a point on matplotlib axes, those trained on filled. style: a group's name -> colour and marker."""
    for name, rows in grouping.groups():
        colour, mark = style(name)
        x, y = np.array([grouping.places[clip] for clip in rows["clip"]]).T
        chosen = rows["chosen"].to_numpy(bool)
        axes.scatter(x[chosen], y[chosen], s=36, color=[colour], marker=mark, label=f"{name} ({len(rows)})")
        axes.scatter(x[~chosen], y[~chosen], s=36, facecolors="none", edgecolors=[colour], marker=mark)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")


def draw_trajectories(panel: Any, rows: pd.DataFrame, ways: Mapping[str, np.ndarray], colour: Any) -> None:
    """The ways of some clips over each other on matplotlib axes, a dot at each end; those trained on are dark."""
    for clip, chosen in zip(rows["clip"], rows["chosen"], strict=True):
        x, y = ways[str(clip)].T
        panel.plot(x, y, color=colour, alpha=0.9 if chosen else 0.35, linewidth=1.2)
        panel.plot(x[-1:], y[-1:], "o", color=colour, markersize=3, alpha=0.9 if chosen else 0.35)
    panel.set_aspect("equal", adjustable="datalim")
