"""Running an experiment: every cell, then tables, plots, a conclusion and the configuration, all in one folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import PIL.Image
from PIL import Image, ImageDraw

from mvmodel.experiments import plots
from mvmodel.experiments.bench import Bench, CellResult
from mvmodel.experiments.catalogue import EXPERIMENTS
from mvmodel.experiments.config import ExperimentConfig
from mvmodel.experiments.experiment import Conclusion, Experiment, Tables
from mvmodel.experiments.page import write_experiment_page
from mvmodel.files import atomic_write, write_json
from mvmodel.metrics.report_card import summarise
from mvmodel.metrics.score import METRICS
from mvmodel.progress import track
from mvmodel.reports.formatting import format_count
from mvmodel.reports.plot_style import save_figures
from mvmodel.video.sampling import evenly_spaced_indices

SHEET_COLUMNS = 8
TIMING_FILE = "timing.json"
"""The one file that differs between two runs of the same."""


def run_experiment(
    name: str,
    bench: Bench,
    folder: Path,
    config: ExperimentConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Run the experiment `name` of `EXPERIMENTS` on `bench` and write `folder`; returns it.

    videos.parquet and .csv: one row a video (factors, slug, name, prompt, seed, metrics, scorer). frames.parquet and
    .csv: one row a video and frame. summary.csv: means, intervals and counts. plots/*.png and *.svg. conclusion.md and
    conclusion.json: computed from the tables. config.json. sheet.jpg: a film strip a condition of its first request.
    report.html: all of it on one page. timing.json: how many cells, how many of them had to be made, and seconds.
    Cells that an earlier run finished are found, not made: a killed run goes on where it was.
    """
    began = time.perf_counter()
    experiment: Experiment[Any] = EXPERIMENTS[name]
    config = config or experiment.config()
    cells = experiment.cells(bench, config)
    results = []
    for number, cell in enumerate(track(cells, name), 1):
        results.append(bench.measure(cell))
        if progress:
            progress(number, len(cells))
    tables = build_tables(bench, experiment, results)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, table in (("videos", tables.videos), ("frames", tables.frames)):
        with atomic_write(folder / f"{part}.parquet") as temporary_file:
            table.to_parquet(temporary_file, index=False)
        with atomic_write(folder / f"{part}.csv") as temporary_file:
            table.to_csv(temporary_file, index=False)
    summary = summarise(tables.videos, by=experiment.factors, metrics=list_metrics(tables.videos))
    summary.to_csv(folder / "summary.csv", index=False)
    pictures = save_figures(experiment.plots(tables), folder / "plots")
    conclusion = experiment.conclude(tables, config)
    counts = describe_counts(experiment, tables, quick=config == experiment.config.quick())
    with atomic_write(folder / "conclusion.md") as temporary_file:
        temporary_file.write_text(render_markdown(experiment, conclusion, counts), encoding="utf-8")
    claims = [{"claim": claim.text, "holds": claim.holds} for claim in conclusion.claims]
    write_json(folder / "conclusion.json", {"sentences": list(conclusion.sentences), "claims": claims})
    provenance = {
        "experiment": name,
        "config": config.model_dump(mode="json"),
        "generation": bench.generation.model_dump(mode="json"),
        "training": bench.training.model_dump(mode="json"),
        "motions": [motion.name for motion in bench.motions],
        "random_pack": bench.pack.info.random,
        **bench.record,
    }
    write_json(folder / "config.json", provenance)
    with atomic_write(folder / "sheet.jpg") as temporary_file:
        draw_sheet(experiment, results).save(temporary_file, "JPEG", quality=82, optimize=True)
    write_json(folder / TIMING_FILE, {**asdict(bench.work), "seconds": round(time.perf_counter() - began, 1)})
    motion = bench.motion.name if experiment.per_motion else ""
    write_experiment_page(
        folder / "report.html", experiment, conclusion, summary, counts, results, pictures, provenance, motion
    )
    return folder


def build_tables(bench: Bench, experiment: Experiment[Any], results: Sequence[CellResult]) -> Tables:
    """The tidy tables of a finished grid."""
    slug_of = {id(task.masks): motion.name for motion in bench.motions for task in motion.tasks}
    videos, frames = [], []
    for result in results:
        task = result.cell.task
        columns = {
            **{name: result.cell.factors.get(name) for name in experiment.factors},
            "slug": str(result.cell.factors.get("slug") or slug_of.get(id(task.masks), bench.motion.name)),
            "name": task.name,
            "prompt": task.prompt,
            "seed": task.seed,
        }
        videos.append({**columns, **result.metrics, "adapter": result.cell.adapter, **bench.record})
        for index in range(len(result.per_frame["iou"])):
            frame_metrics = {name: float(values[index]) for name, values in result.per_frame.items()}
            frames.append({**columns, "frame": index + 1, **frame_metrics})
    tables = Tables(pd.DataFrame(videos), pd.DataFrame(frames))
    return experiment.complete(tables, results, bench)


def list_metrics(rows: pd.DataFrame) -> list[str]:
    """The metrics that a table has, in the order of reports."""
    return [name for name in (*METRICS, *plots.EXPERIMENT_METRICS) if name in rows.columns]


def describe_counts(experiment: Experiment[Any], tables: Tables, quick: bool = False) -> str:
    """How many videos, conditions, prompts and seeds the metrics are made of, and by which scorer."""
    rows = tables.videos
    conditions = len(rows.groupby(list(experiment.factors), dropna=False))
    small = "; the smallest size, which shows that it runs and nothing else" if quick else ""
    return (
        f"{format_count(len(rows), 'video')} in {format_count(conditions, 'condition')}, "
        f"{format_count(rows['prompt'].nunique(), 'prompt')}, "
        f"{format_count(rows['seed'].nunique(), 'seed')}; scorer {rows['scorer'].iloc[0]}{small}"
    )


def render_markdown(experiment: Experiment[Any], conclusion: Conclusion, counts: str) -> str:
    """The conclusion as a page of markdown, with the counts behind it."""
    lines = [f"# {experiment.title}", "", f"*{experiment.question}*", "", " ".join(conclusion.sentences), ""]
    answers = {True: "yes", False: "no", None: "not measured"}
    if conclusion.claims:
        lines += ["| claim | holds here |", "|---|---|"]
        lines += [f"| {claim.text} | {answers[claim.holds]} |" for claim in conclusion.claims]
        lines.append("")
    return "\n".join([*lines, f"{counts}."]) + "\n"


def draw_sheet(experiment: Experiment[Any], results: Sequence[CellResult]) -> PIL.Image.Image:
    """Film strips, one a condition, of the first request that each condition has; the factors stand above each."""
    first: dict[tuple[Any, ...], CellResult] = {}
    for result in results:
        first.setdefault(tuple(result.cell.factors.get(name) for name in experiment.factors), result)
    side, line = 96, 16
    rows = []
    for key, result in first.items():
        frames = result.frames()
        frames_shown = frames[evenly_spaced_indices(SHEET_COLUMNS, len(frames))]
        words = ", ".join(experiment.format_factor(value) for value in key)
        rows.append((f"{words}   IoU {result.metrics.get('iou', float('nan')):.2f}", frames_shown))
    heights = [round(side * frames.shape[1] / frames.shape[2]) for _, frames in rows]
    out = Image.new("RGB", (SHEET_COLUMNS * side, sum(heights) + len(rows) * line), "white")
    draw = ImageDraw.Draw(out)
    for number, (words, frames_shown) in enumerate(rows):
        top = sum(heights[:number]) + number * line
        draw.text((3, top + 2), words, fill="#1b1e24")
        for column, frame in enumerate(frames_shown):
            picture = Image.fromarray(frame).resize((side, heights[number]), Image.Resampling.BICUBIC)
            out.paste(picture, (column * side, top + line))
    return out
