"""Groups of motions to look at: each group's ways over each other, and a map on which like clips lie close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.masks import MaskSequence
from mvmodel.motion.grouping import distances

if TYPE_CHECKING:
    import pandas as pd
    import PIL.Image

_COLUMNS = 4
_OTHERS = "without a motion"


def way(sequence: MaskSequence) -> np.ndarray:
    """The way of the foreground's centre, float (frames, 2): x right, y up, in object sizes from where it begins.

    Frames without foreground are bridged; a sequence without any stands still.
    """
    from mvmodel.errors import InputError
    from mvmodel.masks.poses import poses_of

    try:
        poses = poses_of(sequence.masks)
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


def draw(descriptors: pd.DataFrame, ways: dict[str, np.ndarray], table: pd.DataFrame) -> PIL.Image.Image:
    """The map and every motion's ways as one picture.

    descriptors: as for `group`. ways: clip -> what `way` gave. table: `Groups.table`. Chosen clips are filled and drawn
    dark, others hollow and light.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    groups = table.set_index("clip").reindex(descriptors.index)
    names = sorted({str(name) for name in groups["motion"] if name}) + (
        [_OTHERS] if (groups["motion"] == "").any() else []
    )
    colours = dict(zip(names, matplotlib.colormaps["tab20"].colors, strict=False))  # type: ignore[attr-defined]
    rows = 2 + -(-max(len(names), 1) // _COLUMNS)
    figure = Figure(figsize=(10, 2.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, _COLUMNS)
    overview = figure.add_subplot(grid[:2, :])
    places = embedding(descriptors)
    for name in names:
        own = _members(groups, name)
        chosen = groups["chosen"].to_numpy(bool)
        colour = colours.get(name, "grey")
        for filled in (True, False):
            at = places[own & (chosen == filled)]
            overview.scatter(at[:, 0], at[:, 1], s=36, facecolors=colour if filled else "none", edgecolors=[colour])
        overview.scatter([], [], color=colour, label=f"{name} ({int(own.sum())})")
    overview.set(title="motions: near is alike; filled is trained on", xticks=[], yticks=[], aspect="equal")
    overview.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    for number, name in enumerate(names):
        panel = figure.add_subplot(grid[2 + number // _COLUMNS, number % _COLUMNS])
        _draw_ways(panel, groups[_members(groups, name)], ways, colours.get(name, "grey"))
        panel.set_title(name, fontsize=9)
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())  # type: ignore[attr-defined]


def _members(groups: pd.DataFrame, name: str) -> np.ndarray:
    return np.asarray(groups["motion"] == ("" if name == _OTHERS else name))


def _draw_ways(panel: Any, members: pd.DataFrame, ways: dict[str, np.ndarray], colour: Any) -> None:
    for clip, chosen in zip(members.index, members["chosen"], strict=True):
        x, y = ways[str(clip)].T
        panel.plot(x, y, color=colour, alpha=0.9 if chosen else 0.35, linewidth=1.2)
        panel.plot(x[-1:], y[-1:], "o", color=colour, markersize=3, alpha=0.9 if chosen else 0.35)
    panel.set_aspect("equal", adjustable="datalim")
    panel.tick_params(labelsize=6)
