"""What each part of the method brings, and how much is learned motion rather than the mask's constraint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from mvmodel.experiments import plots
from mvmodel.experiments.bench import OWN, Bench, Measured
from mvmodel.experiments.cells import Cell, FirstFrame
from mvmodel.experiments.config import ExperimentConfig
from mvmodel.experiments.experiment import Conclusion, Experiment, Tables
from mvmodel.experiments.studies.ablation_words import ablation_conclusion
from mvmodel.metrics.appearance import alignment, diversity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS: dict[str, str] = {
    "full": "Full method",
    "no_mask": "Tuned without the mask term",
    "mask_off": "Mask term switched off",
    "no_first_frame_attention": "No first-frame keys and values",
    "no_shared_noise": "No shared noise",
    "no_control": "First frame without ControlNet",
    "blank_first": "No first frame: even grey",
    "untrained": "Not tuned",
    "static_mask": "Mask 1 in every frame",
    "shuffled_mask": "Masks in shuffled order",
}
"""Setting -> how it is named. The last three and `full` separate learned motion from the mask's constraint."""
WITHOUT_MASK = 1 - 1e-9
"""Share of tuning steps without the mask: all of them."""


class AblationConfig(ExperimentConfig):
    """Sizes of the ablation."""

    quick_sizes = {"tuning_steps": 1}

    seeds: int = Field(2, ge=1)
    tuning_steps: int | None = Field(None, ge=1)
    """Optimiser steps of the adapter tuned without mask term; None is what the motion's own adapter was given."""
    least_mask_gain: float = 0.3
    """IoU that the mask term is expected to bring at least."""


class Ablation(Experiment[AblationConfig]):
    name = "ablation_study"
    title = "Ablations"
    question = "What does each part of the method bring, and is motion learned or only constrained by the mask?"
    factors = ("setting",)
    names = SETTINGS
    headline = ("iou", "iou_given", "consistency", "alignment", "motion", "motion_cosine", "colour_drift", "diversity")
    config = AblationConfig

    def cells(self, bench: Bench, config: AblationConfig) -> list[Cell]:
        plain = bench.settings(config)
        without = self._tuned_without_mask(bench, config)
        cells = []
        for task in bench.tasks(config):
            order = np.random.default_rng(task.seed).permutation(len(task.masks) - 1) + 1
            masks = {
                "static_mask": np.repeat(task.masks[:1], len(task.masks), axis=0),
                "shuffled_mask": task.masks[np.concatenate([[0], order])],
            }
            changes: dict[str, dict[str, Any]] = {
                "full": {},
                "no_mask": {"adapter": without, "mask_term": False},
                "mask_off": {"mask_term": False},
                "no_first_frame_attention": {"generation": bench.settings(config, first_frame_attention=False)},
                "no_shared_noise": {"generation": bench.settings(config, alpha=0.0)},
                "no_control": {"first": FirstFrame(control=False)},
                "blank_first": {"first": FirstFrame(blank=True)},
                "untrained": {"adapter": bench.untuned(bench.training)},
                **{name: {"given": given} for name, given in masks.items()},
            }
            cells += [
                Cell(**{"factors": {"setting": name}, "task": task, "adapter": OWN, "generation": plain, **change})
                for name, change in changes.items()
                if change.get("adapter", OWN) is not None
            ]
        return sorted(cells, key=lambda cell: list(SETTINGS).index(str(cell.factors["setting"])))

    def _tuned_without_mask(self, bench: Bench, config: AblationConfig) -> str | None:
        """The motion's clips and settings once more, but no step sees a mask."""
        if not bench.motion.clips:
            return None
        how = bench.training.model_copy(update={"mask_dropout": WITHOUT_MASK})
        if config.tuning_steps:
            how = how.model_copy(update={"steps": config.tuning_steps})
        return bench.tune("no_mask", bench.motion.clips, how)

    def complete(self, tables: Tables, results: Sequence[Measured], bench: Bench) -> Tables:
        """Adds `diversity`, once a request that has several seeds, and what alignment the motion's own clips reach."""
        together: dict[tuple[str, str], list[np.ndarray]] = {}
        for result in results:
            key = (str(result.cell.factors["setting"]), result.cell.task.name)
            together.setdefault(key, []).append(result.embeddings)
        found = {key: diversity(videos) for key, videos in together.items() if len(videos) > 1}
        column = [found.pop((str(row["setting"]), str(row["name"])), np.nan) for _, row in tables.videos.iterrows()]
        ceiling = _clips_alignment(bench) if bench.motion.clips else np.nan
        return Tables(tables.videos.assign(diversity=column, clips_alignment=ceiling), tables.frames)

    def plots(self, tables: Tables) -> dict[str, Figure]:
        rows = tables.videos
        four = rows[rows["setting"].isin(("full", "untrained", "static_mask", "shuffled_mask"))]
        shown = ("iou", "alignment", "colour_drift", "consistency", "motion", "motion_cosine")
        return {
            "ablation": plots.bars(rows, "setting", shown, SETTINGS),
            "training_against_mask": plots.bars(four, "setting", ("iou", "motion", "motion_cosine"), SETTINGS),
        }

    def conclude(self, tables: Tables, config: AblationConfig) -> Conclusion:
        return ablation_conclusion(tables, config.least_mask_gain)


def _clips_alignment(bench: Bench) -> float:
    """Mean cosine of the training clips' frames with their own captions: what a true video reaches on this scorer."""
    scorer = bench.pack.scorer()
    of = [alignment(scorer.images(clip.frames), scorer.texts([clip.caption])[0]) for clip in bench.motion.clips]
    return float(np.mean(of))
