"""Running an experiment: cells, tables, plots, a conclusion computed from the table, the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.errors import InputError
from mvmodel.experiments import ablations, first_frame, masks, noise_sharing, plots, zero_shot
from mvmodel.experiments.config import ExperimentsConfig
from mvmodel.experiments.grid import Progress, run_grid
from mvmodel.experiments.subject import Maker, Subject
from mvmodel.files import write_aside, write_json

if TYPE_CHECKING:
    import pandas as pd

    Table = pd.DataFrame


@dataclass(frozen=True)
class Experiment:
    """title, question: for readers. section: its part of `ExperimentsConfig`. by: the columns that name a cell."""

    title: str
    question: str
    section: str
    by: tuple[str, ...]
    cells: Callable[[Subject, ExperimentsConfig, Maker], list[Any]]
    conclude: Callable[[Table, Table], list[str]]
    draw: Callable[[Path, Table, Table], list[Path]]


def _ablation_plots(folder: Path, table: Table, frames: Table) -> list[Path]:
    return [plots.bars(folder / "settings.png", table, "setting", ("iou", "alignment", "colour_drift"))]


def _noise_plots(folder: Path, table: Table, frames: Table) -> list[Path]:
    return [
        plots.lines(folder / "alpha.png", table, "alpha", "sharing", ("colour_drift", "motion", "consistency_adjacent"))
    ]


def _kinds(folder: Path, table: Table, frames: Table) -> list[Path]:
    named = table.assign(case=table["family"] + ": " + table["kind"].astype(str))
    return [plots.bars(folder / "cases.png", named, "case", ("iou", "alignment"))]


def _damages(folder: Path, table: Table, frames: Table) -> list[Path]:
    import pandas as pd

    sound, spoilt = table[table["damage"] == "none"], table[table["damage"] != "none"]
    begun = [sound.assign(damage=name, level=0.0) for name in dict.fromkeys(spoilt["damage"])]
    whole = pd.concat([*begun, spoilt], ignore_index=True)
    pixels, share = whole[whole["damage"] != "drop"], whole[whole["damage"] == "drop"]
    drawn = [("pixels.png", pixels, "pixels of 128"), ("dropped.png", share, "share of masks left empty")]
    return [
        plots.lines(folder / name, part, "level", "damage", ("iou", "iou_given"), said)
        for name, part, said in drawn
        if len(part)
    ]


def _faults(folder: Path, table: Table, frames: Table) -> list[Path]:
    named = frames.assign(case=frames["fault"] + frames["level"].map(lambda x: f" {x:g}" if x not in (0, 1) else ""))
    return [plots.lines(folder / "frames.png", named, "frame", "case", ("iou", "alignment", "like_first"))]


def _held_out(folder: Path, table: Table, frames: Table) -> list[Path]:
    named = table.assign(case=table["held_out"] + ", trained on " + table["trained_on"])
    return [plots.bars(folder / "motions.png", named, "case", ("iou", "alignment", "motion_cosine"))]


EXPERIMENTS: dict[str, Experiment] = {
    "ablation_study": Experiment(
        "Ablations",
        "What does each part bring, and what comes from training, what from the mask?",
        "ablation",
        ("setting",),
        ablations.cells,
        ablations.conclude,
        _ablation_plots,
    ),
    "noise_sharing_sweep": Experiment(
        "Shared noise",
        "How much of frame 1 belongs in the later frames' noise, and mixed in which way?",
        "noise_sharing",
        ("sharing", "alpha"),
        noise_sharing.cells,
        noise_sharing.conclude,
        _noise_plots,
    ),
    "mask_generalization": Experiment(
        "Masks out of distribution",
        "How far does it reach beyond the shapes, sizes, motions and objects of its clips?",
        "mask_generalization",
        ("family", "kind"),
        masks.generalization_cells,
        masks.conclude_generalization,
        _kinds,
    ),
    "mask_robustness": Experiment(
        "Inexact masks",
        "How exact must masks be?",
        "mask_robustness",
        ("damage", "level"),
        masks.robustness_cells,
        masks.conclude_robustness,
        _damages,
    ),
    "first_frame_sensitivity": Experiment(
        "First frame",
        "How does a fault of frame 1 travel along the frames?",
        "first_frame",
        ("fault", "level"),
        first_frame.cells,
        first_frame.conclude,
        _faults,
    ),
    "zero_shot_motion": Experiment(
        "Held-out motions",
        "Does one adapter over many motions do for a motion that it has never seen?",
        "zero_shot",
        ("held_out", "trained_on"),
        zero_shot.cells,
        zero_shot.conclude,
        _held_out,
    ),
}
"""Name -> experiment; the names are those of the pipeline's assets."""


def run_experiment(
    name: str, subject: Subject, config: ExperimentsConfig, folder: Path, progress: Progress | None = None
) -> Path:
    """Run the experiment `name` in `folder`, going on with what is there, and write its results; returns `folder`.

    videos.parquet and .csv (one row a video), frames.parquet (one a frame), summary.csv (means with intervals and
    counts), plots as PNG, conclusion.md, config.json; in sheets/ a strip of every video. Raises InputError for an
    unknown name.
    """
    from mvmodel.metrics.report_card import summarise

    if name not in EXPERIMENTS:
        raise InputError(f"there is no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    experiment, folder = EXPERIMENTS[name], Path(folder)
    maker = Maker(subject.pack, folder)
    table, frames = run_grid(name, experiment.cells(subject, config, maker), folder, progress)
    for part, stem in ((table, "videos"), (frames, "frames")):
        with write_aside(folder / f"{stem}.parquet") as aside:
            part.to_parquet(aside, index=False)
    with write_aside(folder / "videos.csv") as aside:
        table.round(6).to_csv(aside, index=False)
    with write_aside(folder / "summary.csv") as aside:
        summarise(table, by=experiment.by).round(6).to_csv(aside, index=False)
    experiment.draw(folder, table, frames)
    with write_aside(folder / "conclusion.md") as aside:
        aside.write_text(conclusion(name, subject, table, frames))
    generation, own = config.generation, getattr(config, experiment.section)
    write_json(
        folder / "config.json",
        {
            "experiment": name,
            "motion": subject.name,
            "pack": subject.pack.info.name,
            "pack_hash": subject.pack.hash,
            "random": subject.pack.info.random,
            "generation": generation.model_dump(mode="json"),
            "sizes": own.model_dump(mode="json"),
            "training": config.training,
            "seed": config.seed,
        },
    )
    return folder


def conclusion(name: str, subject: Subject, table: Table, frames: Table) -> str:
    """The conclusion as markdown; every number and every verdict in it is computed from the tables."""
    experiment = EXPERIMENTS[name]
    counts = f"{len(table)} videos, {table['prompt'].nunique()} prompts, {table['seed'].nunique()} seeds"
    marked = " **Random weights: these figures mean nothing.**" if subject.pack.info.random else ""
    said = "\n".join(f"- {sentence}" for sentence in experiment.conclude(table, frames))
    return (
        f"# {experiment.title}\n\n{experiment.question}{marked}\n\n{said}\n\n"
        f"Motion {subject.name}, pack {subject.pack.info.name}: {counts}. Differences are paired by request and seed.\n"
    )
