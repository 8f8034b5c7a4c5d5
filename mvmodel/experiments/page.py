"""An experiment as one HTML file: the conclusion, plots, videos that play in step, and the means behind it all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mvmodel.experiments import plots
from mvmodel.experiments.bench import CellResult
from mvmodel.experiments.experiment import Conclusion, Experiment
from mvmodel.masks import MaskSequence
from mvmodel.reports import media
from mvmodel.reports.formatting import NO_VALUE, format_interval, format_number, format_provenance
from mvmodel.reports.pages import get_poster_index
from mvmodel.reports.templating import render_page

_TEMPLATES = Path(__file__).parent / "templates"
MAX_VIDEOS = 24
"""Conditions whose videos are embedded; each is 10 to 40 kB."""


def write_experiment_page(
    path: Path,
    experiment: Experiment[Any],
    conclusion: Conclusion,
    summary: pd.DataFrame,
    counts: str,
    results: Sequence[CellResult],
    pictures: Sequence[Path],
    provenance: Mapping[str, Any],
    motion: str = "",
) -> Path:
    """Write the page. summary: from `summarise`, by the experiment's factors. pictures: PNGs of the plots."""
    rows, omitted = _films(experiment, results)
    return render_page(
        path,
        "experiment.html.j2",
        _TEMPLATES,
        title=experiment.title,
        question=experiment.question,
        motion=motion,
        random=bool(provenance.get("random_pack")),
        sentences=conclusion.sentences,
        claims=conclusion.claims,
        counts=counts,
        pictures=[
            (p.stem, f"Plot: {p.stem.replace('_', ' ')}", media.data_url(p.read_bytes(), "image/png")) for p in pictures
        ],
        rows=rows,
        more=omitted,
        factors=experiment.factors,
        labels=[plots.get_metric_label(name) for name in _select_metrics(experiment, summary)],
        means=_means(experiment, summary),
        provenance=format_provenance(provenance),
    )


def _select_metrics(experiment: Experiment[Any], summary: pd.DataFrame) -> list[str]:
    present = set(summary["metric"])
    return [name for name in experiment.headline if name in present]


def _means(experiment: Experiment[Any], summary: pd.DataFrame) -> list[dict[str, Any]]:
    out = []
    for key, group in summary.groupby(list(experiment.factors), sort=False, dropna=False):
        by_metric = {str(row["metric"]): row for row in group.to_dict(orient="records")}
        cells = [
            (format_number(by_metric[name]["mean"]), format_interval(by_metric[name]))
            if name in by_metric
            else (NO_VALUE, "")
            for name in _select_metrics(experiment, summary)
        ]
        values = [experiment.format_factor(value) for value in key]
        out.append({"factors": values, "videos": int(group["videos"].max()), "cells": cells})
    return out


def _films(experiment: Experiment[Any], results: Sequence[CellResult]) -> tuple[list[dict[str, Any]], int]:
    """Returns the first request's videos of up to `MAX_VIDEOS` conditions by control mask, and the number left out."""
    first: dict[tuple[Any, ...], CellResult] = {}
    for result in results:
        first.setdefault(tuple(result.cell.factors.get(name) for name in experiment.factors), result)
    rows: dict[bytes, dict[str, Any]] = {}
    for key, result in list(first.items())[:MAX_VIDEOS]:
        cell, frames = result.cell, result.frames()
        poster_index = get_poster_index(len(frames))
        outline = json.dumps(media.trace_outlines(cell.masks))
        row = rows.setdefault(
            outline.encode(),
            {
                "prompt": cell.task.prompt,
                "fps": cell.task.fps,
                "poster_index": poster_index,
                "outline": outline,
                "aspect": f"{frames.shape[2]} / {frames.shape[1]}",
                "view_height": round(1000 * frames.shape[1] / frames.shape[2]),
                "films": [],
            },
        )
        words = [experiment.format_factor(value) for value in key]
        row["films"].append(
            {
                "label": ", ".join(dict.fromkeys(words)),
                "video": media.video_url(frames, cell.task.fps),
                "poster": media.still_url(frames[poster_index]),
                "detected": json.dumps(media.trace_outlines(MaskSequence.load(result.detections).masks)),
                "iou": format_number(result.metrics.get("iou")),
            }
        )
    return list(rows.values()), max(0, len(first) - MAX_VIDEOS)
