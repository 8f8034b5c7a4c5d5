"""The groups of motions in a report: `motion.plot`'s map and trajectories in the page's own colours."""

from __future__ import annotations

from typing import Any

from mvmodel.motion.plot import UNGROUPED, MotionMap, draw_positions, draw_trajectories
from mvmodel.reports.plots import Colours, in_style, new_figure, svg_of

_PALETTE = ("--full", "--scratch", "--other", "--no-mask")
_MARKS = "osD^vP"


def _styles(grouping: MotionMap, colours: Colours) -> dict[str, tuple[Any, str]]:
    """Group -> colour and marker: four colours, then the same with another marker."""
    found = {}
    for number, (name, _) in enumerate(grouping.groups()):
        variable = "--soft" if name == UNGROUPED else _PALETTE[number % len(_PALETTE)]
        found[name] = (colours.of(variable), _MARKS[number // len(_PALETTE) % len(_MARKS)])
    return found


@in_style
def motion_map(grouping: MotionMap) -> str | None:
    """Every clip as a point; clips that move alike lie close, those trained on are filled. None without clips."""
    colours = Colours()
    styles = _styles(grouping, colours)
    if not styles:
        return None
    figure, axes = new_figure()
    draw_positions(axes, grouping, styles.__getitem__)
    axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1), borderaxespad=0.2, handletextpad=0.1)
    sizes = ", ".join(f"{name} {len(rows)}" for name, rows in grouping.groups())
    return svg_of(figure, colours, f"Map of the clips by how they move: {sizes}")


@in_style
def motion_trajectories(grouping: MotionMap) -> str | None:
    """The trajectories of every group's clips over each other, a panel a group; those trained on are dark. None without."""
    from matplotlib.figure import Figure

    colours = Colours()
    styles = _styles(grouping, colours)
    if not styles:
        return None
    columns = min(3, len(styles))
    lines = -(-len(styles) // columns)
    figure = Figure(figsize=(5.4, 1.9 * lines + 0.2), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for panel, (name, rows) in zip(panels, grouping.groups(), strict=False):
        draw_trajectories(panel, rows, grouping.trajectories, styles[name][0])
        panel.set_title(name, fontsize=9)
        panel.tick_params(length=0, labelsize=7)
    for panel in panels[len(styles) :]:
        panel.set_visible(False)
    return svg_of(figure, colours, f"Trajectories of the clips of each motion, in object sizes: {', '.join(styles)}")
