"""Masks that are not exact: eroded, dilated, shifted, with frames missing."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from mvmodel.experiments import plots
from mvmodel.experiments.bench import MOTION_ADAPTER, Bench
from mvmodel.experiments.cells import Cell, Task
from mvmodel.experiments.compare import compute_difference, select_rows
from mvmodel.experiments.config import RobustnessConfig
from mvmodel.experiments.experiment import Conclusion, Experiment, Tables
from mvmodel.masks import MaskSequence
from mvmodel.masks.edit import dilate, erode, move

DAMAGE_DESCRIPTIONS: dict[str, str] = {
    "erode": "eroded by {:g} of the picture's width",
    "dilate": "dilated by {:g} of the picture's width",
    "shift": "shifted by {:g} of the picture's width",
    "drop": "missing in {:g} of the frames",
}


class Robustness(Experiment[RobustnessConfig]):
    name = "mask_robustness"
    title = "Inexact masks"
    question = "What happens to the video when its masks are too thin, too fat, displaced, or missing in some frames?"
    factors = ("damage", "level")
    headline = ("iou", "iou_given", "consistency", "motion", "alignment")
    config = RobustnessConfig

    def cells(self, bench: Bench, config: RobustnessConfig) -> list[Cell]:
        levels = {"erode": config.distances, "dilate": config.distances, "shift": config.shifts, "drop": config.dropped}
        generation = bench.generation_config(config)
        cells = []
        for kind, kind_levels in levels.items():
            for level in (0.0, *kind_levels):
                for task in bench.tasks(config):
                    control_masks = damage_masks(task, kind, level)
                    cells.append(
                        Cell({"damage": kind, "level": level}, task, MOTION_ADAPTER, generation, control_masks)
                    )
        return cells

    def plots(self, tables: Tables) -> dict[str, Figure]:
        figures = {}
        for kind in dict.fromkeys(tables.videos["damage"]):
            kind_rows = select_rows(tables.videos, {"damage": kind})
            unit = "share of frames" if kind == "drop" else "share of the picture's width"
            figures[str(kind)] = plots.plot_curves(
                kind_rows, "level", ("iou", "iou_given", "alignment"), xlabel=f"{kind}, {unit}"
            )
        return figures

    def conclude(self, tables: Tables, config: RobustnessConfig) -> Conclusion:
        sentences = []
        tolerated = {}
        for kind in dict.fromkeys(tables.videos["damage"]):
            kind_rows = select_rows(tables.videos, {"damage": kind})
            levels = sorted(level for level in set(kind_rows["level"]) if level)
            worst = compute_difference(kind_rows, {"level": levels[-1]}, {"level": 0.0}, "iou")
            tolerable = [
                at for at in levels if compute_difference(kind_rows, {"level": at}, {"level": 0.0}, "iou").mean > -0.1
            ]
            tolerated[kind] = max(tolerable, default=0.0)
            given_gap = compute_difference(kind_rows, {"level": levels[-1]}, {"level": 0.0}, "iou_given")
            sentences.append(
                f"Masks {DAMAGE_DESCRIPTIONS[str(kind)].format(levels[-1])} change the IoU with the true masks by "
                f"{worst}, and with "
                f"the masks that were given by {given_gap.mean:+z.3f}; up to {tolerated[kind]:g} less than 0.1 is lost."
            )
        return Conclusion(sentences)


def damage_masks(task: Task, kind: str, level: float) -> np.ndarray:
    """The task's masks with damage of one kind: bool (frames, height, width). Frame 1 always keeps a foreground."""
    if not level:
        return task.masks
    sequence, side = MaskSequence(task.masks), task.masks.shape[2]
    rng = np.random.default_rng(task.seed)
    if kind == "erode":
        masks = erode(sequence, level * side).masks
        thin = ~masks.any(axis=(1, 2))
        masks[thin] = task.masks[thin]  # eroded away altogether: no damage is more honest than another kind of it
        return masks
    if kind == "dilate":
        return dilate(sequence, level * side).masks
    if kind == "shift":
        return move(sequence, dx=round(level * side) * int(rng.choice([-1, 1]))).masks
    if kind == "drop":
        later = len(task.masks) - 1
        dropped = rng.permutation(later)[: max(1, round(level * later))] + 1
        masks = task.masks.copy()
        masks[dropped] = False
        return masks
    raise ValueError(f"damage {kind!r}: use one of {', '.join(DAMAGE_DESCRIPTIONS)}")
