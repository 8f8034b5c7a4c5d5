"""Putting a report together: everything embedded, nothing fetched, readable with and without JavaScript."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.files import write_aside
from mvmodel.metrics.report_card import summarise
from mvmodel.metrics.score import METRICS
from mvmodel.motion.plot import MotionMap
from mvmodel.reports import media, paper_tables, plots, tables, texts
from mvmodel.reports.conditions import get_condition
from mvmodel.reports.entries import VideoEntry
from mvmodel.reports.grouping import motion_map, motion_trajectories

if TYPE_CHECKING:
    import pandas as pd

_TEMPLATES = Path(__file__).parent / "templates"


def motion_report(
    folder_out: Path,
    motion: str,
    videos: Sequence[VideoEntry],
    metrics: pd.DataFrame,
    provenance: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    *,
    quarantined: Sequence[Mapping[str, Any]] | None = None,
    study: pd.DataFrame | None = None,
    measured_by: str = "",
) -> Path:
    """Write `folder_out/report.html`, the report of one motion, and return its path.

    videos: every video in every condition; those of one request share a name and stand in one row. metrics: one row a
    video and condition (condition, name, prompt, seed, then metrics of `METRICS`). provenance: nested names and values for
    the foot; `random: True` marks figures of an untrained pack. training: any of clips (names, or dicts with clip and
    caption), curve (dicts with step, loss, validation), steps, seconds, init_from. notes: sentences to print.
    quarantined: dicts with file and reason; None leaves them out of this report. study: the videos of the experiment
    `ablation_study` on this motion, one row each, for the paper's table; None where it has not been run, and then
    measured_by is the command that runs it.
    """
    card = summarise(metrics)
    training = training or {}
    metric_plots = [
        (plots.iou_per_frame(videos), "IoU per frame", "thin: one video; thick: the mean of a condition"),
        (
            plots.consistency_and_motion(videos),
            "Consistency beside motion",
            "a still video is consistent",
        ),
    ]
    loss = plots.loss_curve(list(training.get("curve") or []))
    return _write(
        Path(folder_out) / "report.html",
        "motion.html.j2",
        title=f"{motion}: motion report",
        motion=motion,
        cards=tables.headlines(card),
        verdict=texts.verdict(card),
        stillness=texts.stillness(card),
        compared=[get_condition(name) for name in tables.ordered(metrics["condition"])],
        counts=tables.counts(card),
        wall=_wall(videos),
        has_found=any(video.detected is not None for video in videos),
        columns=_columns(videos),
        same_start=_same_start(videos),
        summary=tables.summary_table(card),
        table=tables.video_table(metrics),
        plots=[plot for plot in metric_plots if plot[0]],
        training_plots=[(loss, "Training loss", "")] if loss else [],
        paper=_beside_the_paper(metrics, study, measured_by, provenance, _shape(videos)),
        clips=[clip if isinstance(clip, Mapping) else {"clip": clip} for clip in training.get("clips") or []],
        training_line=tables.training_line(training),
        quarantined=None if quarantined is None else list(quarantined),
        notes=list(notes),
        random=bool(provenance.get("random")),
        provenance=tables.sections(provenance),
    )


def leaderboard_report(
    folder_out: Path,
    motions: Mapping[str, pd.DataFrame],
    history: pd.DataFrame | None = None,
    *,
    videos: Sequence[VideoEntry] = (),
    reports: Mapping[str, str] | None = None,
    quarantined: Sequence[Mapping[str, Any]] | None = None,
    provenance: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    study: pd.DataFrame | None = None,
    measured_by: str = "",
    grouping: MotionMap | None = None,
) -> Path:
    """Write `folder_out/leaderboard.html`: motions side by side, their history, best and worst videos.

    motions: slug -> rows as `motion_report` takes them. history: one row a motion and adapter version, oldest first
    (motion, version, when, promoted, metrics). videos: to pick the best and worst of, by IoU; named motion/request.
    reports: slug -> address of its report, relative to `folder_out`. study, measured_by: as for `motion_report`, over
    the motions that have been experimented on. grouping: how the clips were grouped; None leaves its plots out.
    """
    import pandas as pd

    each = [frame.assign(slug=slug) for slug, frame in motions.items()]
    rows = pd.concat(each) if each else pd.DataFrame({"slug": [], "condition": []})
    card = summarise(rows, by=("slug", "condition"))  # `motion` is a metric
    overall = summarise(rows)
    metric_plots = [
        (plots.bars(card, name, METRICS[name].label), METRICS[name].label, "") for name in ("iou", "alignment")
    ]
    if history is not None and len(history):
        metric_plots.append((plots.history_lines(history, "iou", "IoU"), "IoU over versions", "hollow: not promoted"))
    full = [video for video in videos if video.condition == "full" and "iou" in video.metrics]
    ranked = sorted(full, key=lambda video: -video.metrics["iou"])
    best, worst = ranked[:3], ranked[3:][-3:]
    return _write(
        Path(folder_out) / "leaderboard.html",
        "leaderboard.html.j2",
        title="Leaderboard over motions",
        cards=tables.headlines(overall),
        verdict=texts.verdict(overall),
        stillness=texts.stillness(overall),
        compared=[get_condition(name) for name in tables.ordered(rows["condition"])],
        board=tables.board(card, dict(reports or {})),
        best=_wall(best),
        has_found=any(video.detected is not None for video in [*best, *worst]),
        worst=_wall(worst),
        columns=[("full", get_condition("full"))],
        plots=[plot for plot in metric_plots if plot[0]],
        groups=_groups(grouping),
        history=tables.history_table(history),
        regressions=tables.regressions(history),
        paper=_beside_the_paper(rows, study, measured_by, provenance or {}, _shape(videos)),
        quarantined=None if quarantined is None else list(quarantined),
        notes=list(notes),
        random=bool((provenance or {}).get("random")),
        provenance=tables.sections(provenance or {}),
    )


def _groups(grouping: MotionMap | None) -> list[tuple[str, str, str]]:
    if grouping is None:
        return []
    drawn = [
        (motion_map(grouping), "Map of the clips", "near is alike; filled is trained on"),
        (
            motion_trajectories(grouping),
            "Trajectories",
            "in object sizes, each ending in a dot; training clips are dark",
        ),
    ]
    return [(svg, name, words) for svg, name, words in drawn if svg]


def _write(path: Path, template: str, **values: Any) -> Path:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = texts.number
    environment.globals.update(METRICS=METRICS, get_condition=get_condition, count=texts.count, shown=tables.SHOWN)
    with write_aside(path) as aside:
        aside.write_text(environment.get_template(template).render(**values), encoding="utf-8")
    return path


def _beside_the_paper(
    metrics: pd.DataFrame,
    study: pd.DataFrame | None,
    measured_by: str,
    provenance: Mapping[str, Any],
    shape: tuple[int, ...],
) -> dict[str, Any]:
    rows = paper_tables.table(metrics, study)
    heads = paper_tables.heads()
    return {
        "rows": rows,
        "heads": heads,
        "theirs": heads[: len(paper_tables.COLUMNS)],
        "missing": paper_tables.how_to_measure(rows, measured_by),
        "differences": paper_tables.differences(provenance, shape, study is not None and len(study) > 0),
    }


def _shape(videos: Sequence[VideoEntry]) -> tuple[int, ...]:
    return videos[0].frames.shape if videos else (0, 0, 0, 3)


def _same_start(videos: Sequence[VideoEntry]) -> bool:
    """Whether every request has one first frame in all of its conditions, of which there are several."""
    first: dict[str, set[bytes]] = {}
    for video in videos:
        first.setdefault(video.name, set()).add(video.frames[0].tobytes())
    return len(videos) > len(first) and all(len(frames) == 1 for frames in first.values())


def _columns(videos: Sequence[VideoEntry]) -> list[tuple[str, Any]]:
    return [(name, get_condition(name)) for name in tables.ordered(video.condition for video in videos)]


def _rest(frames: int) -> int:
    """The frame that a row shows before it is played: past the middle, since conditions often share their first one."""
    return int(0.55 * frames)


def _wall(videos: Sequence[VideoEntry]) -> list[dict[str, Any]]:
    """One row a request: its mask, and its video in every condition that there is."""
    rows: dict[str, dict[str, Any]] = {}
    for video in videos:
        if video.name not in rows:
            picture = media.mask_picture(video.masks)
            rest = _rest(len(video.frames))
            rows[video.name] = {
                "rest": rest,
                "mask_poster": media.still_address(picture[rest]),
                "name": video.name,
                "prompt": video.prompt,
                "seed": video.seed,
                "fps": video.fps,
                "aspect": f"{video.frames.shape[2]} / {video.frames.shape[1]}",
                "tall": round(1000 * video.frames.shape[1] / video.frames.shape[2]),
                "frames": len(video.frames),
                "mask": media.video_address(picture, video.fps),
                "mask_strip": media.strip_address(picture),
                "outline": json.dumps(media.outlines(video.masks)),
                "cells": {},
            }
        rows[video.name]["cells"][video.condition] = {
            "address": media.video_address(video.frames, video.fps),
            "poster": media.still_address(video.frames[_rest(len(video.frames))]),
            "strip": media.strip_address(video.frames),
            "found": json.dumps(media.outlines(video.detected)) if video.detected is not None else "",
            "figures": [
                (METRICS[n].label, texts.number(video.metrics.get(n), METRICS[n].digits)) for n in tables.HEADLINES
            ],
            "iou": texts.number(video.metrics.get("iou")),
        }
    return list(rows.values())
