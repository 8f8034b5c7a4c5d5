"""The groups of motions in a report: a map on which like clips lie close, and each group's ways over each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmodel.reports.figures import _Colours, _figure, _in_style, _svg

if TYPE_CHECKING:
    import pandas as pd

_PALETTE = ("--full", "--scratch", "--other", "--no-mask")
_MARKS = "osD^vP"
_WITHOUT = "without a motion"


@dataclass(frozen=True)
class Grouping:
    """What the groups' plots are drawn from.

    table: `motion.grouping.Groups.table`. places: clip -> (x, y) on the map. ways: clip -> float (frames, 2), right and
    up in object sizes from where the clip begins.
    """

    table: pd.DataFrame
    places: Mapping[str, tuple[float, float]]
    ways: Mapping[str, np.ndarray]

    def groups(self) -> list[tuple[str, pd.DataFrame]]:
        """(name, rows) of every group by name, clips without one last."""
        named = self.table.assign(motion=self.table["motion"].replace("", _WITHOUT))
        found = [(str(name), rows) for name, rows in named.groupby("motion")]
        return sorted(found, key=lambda group: (group[0] == _WITHOUT, group[0]))


@_in_style
def motion_map(grouping: Grouping) -> str | None:
    """Every clip as a point; clips that move alike lie close, those trained on are filled. None without clips."""
    groups = grouping.groups()
    if not groups:
        return None
    colours = _Colours()
    figure, axes = _figure()
    for number, (name, rows) in enumerate(groups):
        colour = colours.of("--soft" if name == _WITHOUT else _PALETTE[number % len(_PALETTE)])
        mark = _MARKS[number // len(_PALETTE) % len(_MARKS)]
        x, y = np.array([grouping.places[clip] for clip in rows["clip"]]).T
        chosen = rows["chosen"].to_numpy(bool)
        axes.scatter(x[chosen], y[chosen], s=36, color=colour, marker=mark, label=f"{name} ({len(rows)})")
        axes.scatter(x[~chosen], y[~chosen], s=36, facecolors="none", edgecolors=colour, marker=mark)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1), borderaxespad=0.2, handletextpad=0.1)
    sizes = ", ".join(f"{name} {len(rows)}" for name, rows in groups)
    return _svg(figure, colours, f"Map of the clips by how they move: {sizes}")


@_in_style
def motion_ways(grouping: Grouping) -> str | None:
    """The ways of every group's clips over each other, a panel a group; those trained on are dark. None without."""
    from matplotlib.figure import Figure

    groups = grouping.groups()
    if not groups:
        return None
    colours = _Colours()
    columns = min(3, len(groups))
    lines = -(-len(groups) // columns)
    figure = Figure(figsize=(5.4, 1.9 * lines + 0.2), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for number, (name, rows) in enumerate(groups):
        panel = panels[number]
        colour = colours.of("--soft" if name == _WITHOUT else _PALETTE[number % len(_PALETTE)])
        for clip, chosen in zip(rows["clip"], rows["chosen"], strict=True):
            x, y = np.asarray(grouping.ways[clip]).T
            panel.plot(x, y, color=colour, alpha=0.9 if chosen else 0.35, linewidth=1.2)
            panel.plot(x[-1:], y[-1:], "o", color=colour, markersize=3, alpha=0.9 if chosen else 0.35)
        panel.set_title(name, fontsize=9)
        panel.set_aspect("equal", adjustable="datalim")
        panel.tick_params(length=0, labelsize=7)
    for panel in panels[len(groups) :]:
        panel.set_visible(False)
    names = ", ".join(name for name, _ in groups)
    return _svg(figure, colours, f"Ways of the clips of each motion, in object sizes: {names}")
