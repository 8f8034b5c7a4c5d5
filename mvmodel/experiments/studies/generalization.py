"""Masks and objects that the training clips do not have: shapes, sizes, motions, classes."""

from __future__ import annotations

from matplotlib.figure import Figure

from mvmodel.experiments import plots
from mvmodel.experiments.bench import MOTION_ADAPTER, Bench
from mvmodel.experiments.cells import Cell
from mvmodel.experiments.compare import compute_difference, compute_group_means, join_words, select_rows
from mvmodel.experiments.config import GeneralizationConfig
from mvmodel.experiments.experiment import Conclusion, Experiment, Tables
from mvmodel.experiments.held_out import FAMILIES, iterate_held_out
from mvmodel.text import find_object_words

BASELINE_FAMILY = "as asked"
"""The family of the requests themselves."""


class Generalization(Experiment[GeneralizationConfig]):
    name = "mask_generalization"
    title = "Masks that were never trained on"
    question = "How far beyond the shapes, sizes, motions and objects of its clips does the adapter follow a mask?"
    factors = ("family", "item")
    config = GeneralizationConfig

    def cells(self, bench: Bench, config: GeneralizationConfig) -> list[Cell]:
        objects = list(bench.pack.info.objects)
        training_objects = {word for clip in bench.motion.clips for word in find_object_words(clip.caption, objects)}
        generation = bench.generation_config(config)
        cells = []
        for task in bench.tasks(config):
            cells.append(Cell({"family": BASELINE_FAMILY, "item": BASELINE_FAMILY}, task, MOTION_ADAPTER, generation))
            cells += [
                Cell({"family": item.family, "item": item.name}, item.task, MOTION_ADAPTER, generation)
                for item in iterate_held_out(task, bench.motion.name, sorted(training_objects), objects, config.items)
                if item.task.masks[0].any()
            ]
        order = [BASELINE_FAMILY, *FAMILIES]
        return sorted(cells, key=lambda cell: order.index(str(cell.factors["family"])))

    def plots(self, tables: Tables) -> dict[str, Figure]:
        metrics = ("iou", "alignment", "motion_cosine")
        return {
            "families": plots.plot_bars(tables.videos, "family", metrics),
            "items": plots.plot_bars(tables.videos, "item", metrics),
        }

    def conclude(self, tables: Tables, config: GeneralizationConfig) -> Conclusion:
        rows = tables.videos
        base = compute_group_means(rows, "family", "iou").get(BASELINE_FAMILY)
        if base is None:
            return Conclusion(["Overlap with the masks was not measured."])
        sentences = [f"The requests as they were asked reach an IoU of {base:.3f}."]
        changes = {}
        for family in FAMILIES:
            gap = compute_difference(rows, {"family": family}, {"family": BASELINE_FAMILY}, "iou")
            if not gap.pairs:
                continue
            changes[family] = gap.mean
            item_means = compute_group_means(select_rows(rows, {"family": family}), "item", "iou")
            weakest, strongest = (
                min(item_means, key=lambda k: item_means[k]),
                max(item_means, key=lambda k: item_means[k]),
            )
            sentences.append(
                f"Another {family} changes it by {gap}; of {len(item_means)} the best is {strongest} "
                f"({item_means[strongest]:.3f}), "
                f"the worst {weakest} ({item_means[weakest]:.3f})."
            )
        if changes:
            hardest = min(changes, key=lambda family: changes[family])
            harmless = [family for family in changes if changes[family] > -0.05]
            sentences.append(
                f"Hardest is another {hardest}; within 0.05 of the requests themselves stay: {join_words(harmless)}."
            )
        return Conclusion(sentences)
