"""A bad first frame: how much of its error the later frames inherit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mvmodel.experiments import plots
from mvmodel.experiments.bench import MOTION_ADAPTER, Bench, CellResult
from mvmodel.experiments.cells import Cell, FirstFrameSpec, Task
from mvmodel.experiments.compare import compute_difference, select_rows
from mvmodel.experiments.config import FirstFrameConfig
from mvmodel.experiments.experiment import Conclusion, Experiment, Tables
from mvmodel.text import with_article

CLEAN = "clean"


class FirstFrameSensitivity(Experiment[FirstFrameConfig]):
    name = "first_frame_sensitivity"
    title = "A bad first frame"
    question = "How does an error in frame 1 travel along the later frames?"
    factors = ("first_frame",)
    config = FirstFrameConfig

    def cells(self, bench: Bench, config: FirstFrameConfig) -> list[Cell]:
        generation = bench.generation_config(config)
        cells = []
        for task in bench.tasks(config):
            specs = {
                CLEAN: FirstFrameSpec(),
                "mask 1 shifted": FirstFrameSpec(shift=config.shift),
                "mask 1 eroded": FirstFrameSpec(erode=config.erode),
                "no ControlNet": FirstFrameSpec(control=False),
                **{f"latent noise {amount:g}": FirstFrameSpec(latent_noise=amount) for amount in config.latent_noise},
            }
            if wrong_prompt := _wrong_prompt(task, list(bench.pack.info.objects)):
                specs["wrong prompt"] = FirstFrameSpec(prompt=wrong_prompt)
            cells += [
                Cell({"first_frame": name}, task, MOTION_ADAPTER, generation, first=spec)
                for name, spec in specs.items()
            ]
        return sorted(cells, key=lambda cell: (cell.factors["first_frame"] != CLEAN, str(cell.factors["first_frame"])))

    def complete(self, tables: Tables, results: Sequence[CellResult], bench: Bench) -> Tables:
        """Adds `error` to the frames: 1 - cosine with the same frame of the video that started well."""
        clean = {
            (r.cell.task.name, r.cell.task.seed): r.embeddings
            for r in results
            if r.cell.factors["first_frame"] == CLEAN
        }
        errors = [1 - np.sum(r.embeddings * clean[r.cell.task.name, r.cell.task.seed], axis=1) for r in results]
        return Tables(tables.videos, tables.frames.assign(error=np.concatenate(errors).clip(min=0)))

    def plots(self, tables: Tables) -> dict[str, Figure]:
        metrics = ("error", "iou", "alignment")
        return {"along_the_frames": plots.plot_curves(tables.frames, "frame", metrics, "first_frame", markers=False)}

    def conclude(self, tables: Tables, config: FirstFrameConfig) -> Conclusion:
        sentences = []
        for name in dict.fromkeys(tables.frames["first_frame"]):
            if name == CLEAN:
                continue
            errors = select_rows(tables.frames, {"first_frame": name}).groupby("frame")["error"].mean()
            first, last = float(errors.iloc[0]), float(errors.iloc[-max(1, len(errors) // 4) :].mean())
            trend = "stays" if abs(last - first) <= 0.1 * first else "grows" if last > first else "shrinks"
            lost = compute_difference(tables.videos, {"first_frame": name}, {"first_frame": CLEAN}, "iou")
            sentences.append(
                f"With {name}, frame 1 lies {first:.3f} from the clean one and the last quarter of the frames "
                f"{last:.3f}, so the error {trend} along the video; IoU changes by {lost}."
            )
        return Conclusion(sentences)


def _wrong_prompt(task: Task, objects: Sequence[str]) -> str | None:
    """A prompt about another object, or None where the pack names none."""
    other_words = [word for word in objects if word not in task.words]
    return with_article(other_words[task.seed % len(other_words)]) if other_words else None
