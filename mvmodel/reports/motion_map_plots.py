"""Plots of the map of clips and of every motion's trajectories: SVG for reports, one picture for Dagster's UI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from mvmodel.motion.motion_map import UNGROUPED, MotionMap
from mvmodel.reports.plot_style import (
    PAGE_PALETTE,
    PageColours,
    new_figure,
    new_panels,
    page_style,
    print_style,
    to_svg,
)

_MARKERS = "osD^vP"
_COLUMNS = 4
MAX_MOTIONS, MAX_CLIPS = 48, 200
"""Motions that are drawn, those with the most clips, and clips of each. More could neither be told apart nor drawn in
reasonable time."""


@page_style
def plot_motion_map(motion_map: MotionMap) -> str | None:
    """Every clip as a point; clips that move alike are close, training clips are filled. None without clips."""
    motion_map, note = _shorten(motion_map)
    colours = PageColours()
    styles = _get_styles(motion_map, colours)
    if not styles:
        return None
    figure, axes = new_figure()
    draw_positions(axes, motion_map, styles.__getitem__)
    axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1), borderaxespad=0.2, handletextpad=0.1)
    sizes = ", ".join(f"{name} {len(rows)}" for name, rows in motion_map.groups())
    return to_svg(figure, colours, f"Map of the clips by how they move{note}: {sizes}")


@page_style
def plot_trajectories(motion_map: MotionMap) -> str | None:
    """The trajectories of every motion's clips, one panel per motion; training clips are dark. None without clips."""
    motion_map, note = _shorten(motion_map)
    colours = PageColours()
    styles = _get_styles(motion_map, colours)
    if not styles:
        return None
    rows = -(-len(styles) // 3)
    columns = min(3, len(styles))
    figure, panels = new_panels(len(styles), 5.4 / columns, (1.9 * rows + 0.2) / rows, columns)
    for panel, (name, clips) in zip(panels, motion_map.groups(), strict=True):
        draw_trajectories(panel, clips, motion_map.trajectories, styles[name][0])
        panel.set_title(name, fontsize=9)
        panel.tick_params(labelsize=7)
    title = f"Trajectories of the clips of each motion{note}, in object sizes"
    return to_svg(figure, colours, f"{title}: {', '.join(styles)}")


def _shorten(motion_map: MotionMap) -> tuple[MotionMap, str]:
    """The map of what is drawn, and a clause that says what is not; "" if everything is drawn."""
    largest, motions = motion_map.largest(MAX_MOTIONS, MAX_CLIPS), motion_map.table["motion"].nunique()
    if largest is motion_map:
        return motion_map, ""
    return (
        largest,
        f" ({len(largest.table)} of {len(motion_map.table)} clips, {len(largest.groups())} of {motions} groups)",
    )


def _get_styles(motion_map: MotionMap, colours: PageColours) -> dict[str, tuple[Any, str]]:
    """Motion -> colour and marker: four colours, then the same with another marker."""
    styles = {}
    for number, (name, _) in enumerate(motion_map.groups()):
        variable = "--soft" if name == UNGROUPED else PAGE_PALETTE[number % len(PAGE_PALETTE)]
        styles[name] = (colours.get(variable), _MARKERS[number // len(PAGE_PALETTE) % len(_MARKERS)])
    return styles


@print_style
def draw_overview(motion_map: MotionMap) -> Image.Image:
    """Draw the map and every motion's trajectories as one picture. Training clips are filled and dark."""
    motion_map, note = _shorten(motion_map)
    groups = motion_map.groups()
    palette = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    colours = dict(zip((name for name, _ in groups), palette, strict=False))
    rows = 2 + -(-max(len(groups), 1) // _COLUMNS)
    figure = Figure(figsize=(10, 2.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, _COLUMNS)
    overview = figure.add_subplot(grid[:2, :])
    draw_positions(overview, motion_map, lambda name: (colours.get(name, "grey"), "o"))
    overview.set_title(f"motions{note}: clips that move alike are close; training clips are filled")
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
