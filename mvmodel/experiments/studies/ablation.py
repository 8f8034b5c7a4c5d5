"""What each part of the method brings, and how much is learned motion rather than the mask's constraint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mvmodel.experiments import plots
from mvmodel.experiments.bench import MOTION_ADAPTER, Bench, CellResult
from mvmodel.experiments.cells import Cell, FirstFrameSpec
from mvmodel.experiments.config import AblationConfig
from mvmodel.experiments.experiment import Conclusion, Experiment, Tables
from mvmodel.experiments.studies.ablation_conclusion import conclude_ablation
from mvmodel.metrics.appearance import alignment, diversity
from mvmodel.reports.conditions import CONDITIONS, Condition

ABLATION_CONDITIONS: dict[str, Condition] = {
    "full": CONDITIONS["full"],
    "tuned_without_mask": Condition("Tuned without the mask term", mask_term=False),
    "no_mask": CONDITIONS["no_mask"],
    "no_first_frame_attention": Condition(
        "No first-frame keys and values", generation={"first_frame_attention": False}
    ),
    "no_shared_noise": Condition("No shared noise", generation={"alpha": 0.0}),
    "no_control": Condition("First frame without ControlNet"),
    "blank_first": Condition("First frame plain grey"),
    "untrained": Condition("Not tuned"),
    "static_mask": Condition("Mask 1 in every frame"),
    "shuffled_mask": Condition("Masks in shuffled order"),
}
"""Condition name -> definition. The last three and `full` separate learned motion from the mask's constraint."""
LABELS = {name: condition.label for name, condition in ABLATION_CONDITIONS.items()}
WITHOUT_MASK = 1 - 1e-9
"""Share of tuning steps without the mask: all of them."""


class Ablation(Experiment[AblationConfig]):
    name = "ablation_study"
    title = "Ablations"
    question = "What does each part of the method bring, and is motion learned or only constrained by the mask?"
    factors = ("condition",)
    names = LABELS
    headline = ("iou", "iou_given", "consistency", "alignment", "motion", "motion_cosine", "colour_drift", "diversity")
    config = AblationConfig

    def cells(self, bench: Bench, config: AblationConfig) -> list[Cell]:
        without_mask = self._tuned_without_mask(bench, config)
        cells = []
        for task in bench.tasks(config):
            order = np.random.default_rng(task.seed).permutation(len(task.masks) - 1) + 1
            inputs: dict[str, dict[str, Any]] = {
                "tuned_without_mask": {"adapter": without_mask},
                "no_control": {"first": FirstFrameSpec(control=False)},
                "blank_first": {"first": FirstFrameSpec(blank=True)},
                "untrained": {"adapter": bench.add_untuned_adapter(bench.training)},
                "static_mask": {"control_masks": np.repeat(task.masks[:1], len(task.masks), axis=0)},
                "shuffled_mask": {"control_masks": task.masks[np.concatenate([[0], order])]},
            }
            for name, condition in ABLATION_CONDITIONS.items():
                changes = {"adapter": MOTION_ADAPTER, **inputs.get(name, {})}
                if changes["adapter"] is None:
                    continue
                generation = bench.generation_config(config, **condition.generation)
                factors = {"condition": name}
                cells.append(Cell(factors, task, generation=generation, mask_term=condition.mask_term, **changes))
        return sorted(cells, key=lambda cell: list(ABLATION_CONDITIONS).index(str(cell.factors["condition"])))

    def _tuned_without_mask(self, bench: Bench, config: AblationConfig) -> str | None:
        """The motion's clips and settings once more, but no step sees a mask."""
        if not bench.motion.clips:
            return None
        how = bench.training.model_copy(update={"mask_dropout": WITHOUT_MASK})
        if config.tuning_steps:
            how = how.model_copy(update={"steps": config.tuning_steps})
        return bench.tune("tuned_without_mask", bench.motion.clips, how)

    def complete(self, tables: Tables, results: Sequence[CellResult], bench: Bench) -> Tables:
        """Adds `diversity`, once a request that has several seeds, and what alignment the motion's own clips reach."""
        together: dict[tuple[str, str], list[np.ndarray]] = {}
        for result in results:
            key = (str(result.cell.factors["condition"]), result.cell.task.name)
            together.setdefault(key, []).append(result.embeddings)
        diversities = {key: diversity(videos) for key, videos in together.items() if len(videos) > 1}
        column = [
            diversities.pop((str(row["condition"]), str(row["name"])), np.nan) for _, row in tables.videos.iterrows()
        ]
        ceiling = _clips_alignment(bench) if bench.motion.clips else np.nan
        return Tables(tables.videos.assign(diversity=column, clips_alignment=ceiling), tables.frames)

    def plots(self, tables: Tables) -> dict[str, Figure]:
        rows = tables.videos
        four = rows[rows["condition"].isin(("full", "untrained", "static_mask", "shuffled_mask"))]
        metrics = ("iou", "alignment", "colour_drift", "consistency", "motion", "motion_cosine")
        return {
            "ablation": plots.plot_bars(rows, "condition", metrics, LABELS),
            "training_against_mask": plots.plot_bars(four, "condition", ("iou", "motion", "motion_cosine"), LABELS),
        }

    def conclude(self, tables: Tables, config: AblationConfig) -> Conclusion:
        return conclude_ablation(tables, config.least_mask_gain)


def _clips_alignment(bench: Bench) -> float:
    """Mean cosine of the training clips' frames with their own captions: what a true video reaches on this scorer."""
    scorer = bench.pack.scorer()
    of = [alignment(scorer.images(clip.frames), scorer.texts([clip.caption])[0]) for clip in bench.motion.clips]
    return float(np.mean(of))
