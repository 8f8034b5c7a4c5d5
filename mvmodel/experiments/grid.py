"""A grid of cells, each done once: a killed run goes on with the cell that it was in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel import __version__
from mvmodel.files import hash_value, write_json

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int, str], None]
"""Called with (cells done, cells, what the last one was)."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Measured:
    """What a cell found. videos: one row a video. frames: one row a video and frame, or none."""

    videos: Rows
    frames: Rows


@dataclass(frozen=True)
class Cell:
    """One point of a grid. levels: what makes it differ from the others. parts: what else its rows depend on."""

    levels: dict[str, Any]
    run: Callable[[], Measured]
    parts: dict[str, Any]

    def recipe(self, experiment: str) -> str:
        """Hash of everything that decides its rows."""
        return hash_value(
            {"experiment": experiment, "levels": self.levels, "parts": self.parts, "mvmodel": __version__}
        )


def run_grid(
    experiment: str, cells: Sequence[Cell], folder: Path, progress: Progress | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run what is not in `folder`/cells yet; return (videos, frames), each row with its cell's levels in front.

    A cell's file appears when the cell is done, never half. Rows stand in the order of the cells.
    """
    import pandas as pd

    kept = Path(folder) / "cells"
    kept.mkdir(parents=True, exist_ok=True)
    videos, frames = [], []
    for done, cell in enumerate(cells, 1):
        file = kept / f"{cell.recipe(experiment)}.json"
        if not file.exists():
            measured = cell.run()
            write_json(file, {"levels": cell.levels, "videos": measured.videos, "frames": measured.frames})
        found = json.loads(file.read_text())
        videos += [{**cell.levels, **row} for row in found["videos"]]
        frames += [{**cell.levels, **row} for row in found["frames"]]
        if progress:
            progress(done, len(cells), ", ".join(f"{name} {value}" for name, value in cell.levels.items()))
    return pd.DataFrame(videos), pd.DataFrame(frames)
