"""The report of one motion and the leaderboard: one HTML file each, all embedded, readable without JavaScript."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from mvmodel.metrics.report_card import summarise
from mvmodel.metrics.score import METRICS
from mvmodel.motion.motion_map import MotionMap
from mvmodel.reports import media, paper_tables, plots, sentences, tables
from mvmodel.reports.conditions import Condition, get_condition
from mvmodel.reports.entries import VideoEntry, rank_videos
from mvmodel.reports.formatting import format_count, format_number, format_provenance
from mvmodel.reports.motion_map_plots import plot_motion_map, plot_trajectories
from mvmodel.reports.templating import render_page
from mvmodel.reports.waiting import WaitingMotion

POSTER_POSITION = 0.55
"""Which part of a video its poster shows: past the middle, because conditions often share their first frame."""
RANKED_VIDEOS = 3
"""Best videos on the leaderboard, and as many of the worst."""


def write_motion_report(
    folder: Path,
    motion: str,
    videos: Sequence[VideoEntry],
    metrics: pd.DataFrame,
    provenance: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    *,
    quarantined: Sequence[Mapping[str, Any]] | None = None,
    study: pd.DataFrame | None = None,
    study_command: str = "",
    label: str = "",
) -> Path:
    """Write `folder`/report.html, the report of one motion, and return its path.

    videos: every video of every condition; those of one request share a name and a row. metrics: one row per video
    (condition, name, prompt, seed, then metrics of `METRICS`). provenance: nested names and values for the footer;
    `random: True` marks the report of an untrained pack. training: any of clips (names, or dicts with clip and
    caption), curve (dicts with step, loss, validation), steps, seconds, init_from. notes: sentences to print.
    quarantined: dicts with file and reason; None leaves the section out. study: the videos of the experiment
    `ablation_study` on this motion, one row each, for the paper's table; None if it was not run. study_command: the
    command that runs it. label: the motion as the manifest spells it, if `motion` is only its slug.
    """
    card = summarise(metrics)
    training = training or {}
    metric_plots = [
        (plots.plot_iou_per_frame(videos), "IoU per frame", "thin: one video; thick: the mean of a condition"),
        (plots.plot_consistency_and_motion(videos), "Consistency and motion", "a still video is perfectly consistent"),
    ]
    curve = list(training.get("curve") or [])
    loss = plots.plot_loss(curve)
    return _render(
        Path(folder) / "report.html",
        "motion.html.j2",
        title=f"{label or motion}: motion report",
        motion=label or motion,
        **_build_header(card, metrics),
        counts=tables.summarise_counts(card),
        wall=_build_wall(videos),
        has_detections=any(video.detected is not None for video in videos),
        columns=[(name, get_condition(name)) for name in tables.sort_conditions(v.condition for v in videos)],
        shared_first_frame=_share_first_frames(videos),
        summary=tables.build_summary_table(card),
        table=tables.build_video_table(metrics),
        plots=[plot for plot in metric_plots if plot[0]],
        training_plots=[(loss, "Training loss", sentences.describe_validation(curve))] if loss else [],
        paper=_build_paper_section(metrics, study, study_command, provenance, videos),
        clips=[clip if isinstance(clip, Mapping) else {"clip": clip} for clip in training.get("clips") or []],
        training_line=sentences.describe_training(training),
        quarantined=None if quarantined is None else list(quarantined),
        notes=list(notes),
        random=bool(provenance.get("random")),
        provenance=format_provenance(provenance),
    )


def write_leaderboard(
    folder: Path,
    motions: Mapping[str, pd.DataFrame],
    history: pd.DataFrame | None = None,
    *,
    videos: Sequence[VideoEntry] = (),
    reports: Mapping[str, str] | None = None,
    quarantined: Sequence[Mapping[str, Any]] | None = None,
    provenance: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    study: pd.DataFrame | None = None,
    study_command: str = "",
    motion_map: MotionMap | None = None,
    labels: Mapping[str, str] | None = None,
    waiting: Sequence[WaitingMotion] = (),
    recognition: str = "",
) -> Path:
    """Write `folder`/leaderboard.html: motions side by side, their history, best and worst videos.

    motions: slug -> rows as in `write_motion_report`. history: one row per motion and adapter version, oldest first
    (motion, version, when, promoted, metrics). videos: the best and worst by IoU are shown; named motion/request.
    reports: slug -> address of its report, relative to `folder`. study, study_command: as in `write_motion_report`,
    over the motions that were experimented on. motion_map: how the clips were grouped; None leaves its plots out.
    labels: slug -> the motion as the manifest spells it. waiting: motions without videos. recognition: what
    `describe_recognition` says.
    """
    provenance = provenance or {}
    tagged = [rows.assign(slug=slug) for slug, rows in motions.items()]
    rows = pd.concat(tagged) if tagged else pd.DataFrame({"slug": [], "condition": []})
    card = summarise(rows, by=("slug", "condition"))  # the column `motion` is a metric
    best, worst = rank_videos(videos, RANKED_VIDEOS)
    return _render(
        Path(folder) / "leaderboard.html",
        "leaderboard.html.j2",
        title="Leaderboard of all motions",
        **_build_header(summarise(rows), rows),
        board=tables.build_board(card, reports or {}, labels or {}),
        best=_build_wall(best),
        worst=_build_wall(worst),
        has_detections=any(video.detected is not None for video in [*best, *worst]),
        columns=[("full", get_condition("full"))],
        plots=_plot_board(card, history),
        groups=_plot_groups(motion_map),
        waiting=list(waiting),
        recognition=recognition,
        history=tables.build_history_table(history),
        regressions=sentences.describe_regressions(history),
        paper=_build_paper_section(rows, study, study_command, provenance, videos),
        quarantined=None if quarantined is None else list(quarantined),
        notes=list(notes),
        random=bool(provenance.get("random")),
        provenance=format_provenance(provenance),
    )


def _render(path: Path, template: str, **values: Any) -> Path:
    return render_page(path, template, count=format_count, main_metrics=tables.MAIN_METRICS, **values)


def _build_header(card: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The top of both pages. card: from `summarise`, of `rows`."""
    compared: list[Condition] = [get_condition(name) for name in tables.sort_conditions(rows["condition"])]
    return {
        "cards": tables.build_cards(card, rows),
        "verdict": sentences.describe_adherence(card),
        "stillness": sentences.describe_stillness(card),
        "tuning": sentences.describe_tuning(rows),
        "compared": compared,
    }


def _plot_board(card: pd.DataFrame, history: pd.DataFrame | None) -> list[tuple[str, str, str]]:
    drawings = [
        (plots.plot_motion_bars(card, name, METRICS[name].label), METRICS[name].label, "")
        for name in ("iou", "alignment")
    ]
    if history is not None and len(history):
        drawings.append((plots.plot_history(history, "iou", "IoU"), "IoU over versions", "hollow: not promoted"))
    return [(svg, name, caption) for svg, name, caption in drawings if svg]


def _plot_groups(motion_map: MotionMap | None) -> list[tuple[str, str, str]]:
    if motion_map is None:
        return []
    drawings = [
        (plot_motion_map(motion_map), "Map of the clips", "near: similar motion; filled: used for training"),
        (plot_trajectories(motion_map), "Trajectories", "in object sizes; a dot at each end; dark: used for training"),
    ]
    return [(svg, name, caption) for svg, name, caption in drawings if svg]


def _build_paper_section(
    metrics: pd.DataFrame,
    study: pd.DataFrame | None,
    study_command: str,
    provenance: Mapping[str, Any],
    videos: Sequence[VideoEntry],
) -> dict[str, Any]:
    rows = paper_tables.build_paper_table(metrics, study)
    labels = paper_tables.get_column_labels()
    shape = videos[0].frames.shape if videos else (0, 0, 0, 3)
    return {
        "rows": rows,
        "labels": labels,
        "printed_labels": labels[: len(paper_tables.PAPER_METRICS)],
        "study_command": paper_tables.get_study_command(rows, study_command),
        "differences": paper_tables.describe_differences(provenance, shape, study is not None and len(study) > 0),
    }


def _share_first_frames(videos: Sequence[VideoEntry]) -> bool:
    """Whether there are several conditions and every request has the same first frame in all of its conditions."""
    first: dict[str, set[bytes]] = {}
    for video in videos:
        first.setdefault(video.name, set()).add(video.frames[0].tobytes())
    return len(videos) > len(first) and all(len(frames) == 1 for frames in first.values())


def get_poster_index(frames: int) -> int:
    """The frame that a row shows until it is played."""
    return int(POSTER_POSITION * frames)


def _build_wall(videos: Sequence[VideoEntry]) -> list[dict[str, Any]]:
    """One row per request: its mask, and its video in every condition."""
    requests = {video.name: video for video in reversed(videos)}  # a request's first video has its masks
    names = dict.fromkeys(video.name for video in videos)
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # encoding videos and pictures does not hold Python's lock
        rows = dict(zip(names, threads.map(_build_wall_row, [requests[name] for name in names]), strict=True))
        for video, cell in zip(videos, threads.map(_build_wall_cell, videos), strict=True):
            rows[video.name]["cells"][video.condition] = cell
    return list(rows.values())


def _build_wall_cell(video: VideoEntry) -> dict[str, Any]:
    return {
        "video": media.video_url(video.frames, video.fps),
        "poster": media.still_url(video.frames[get_poster_index(len(video.frames))]),
        "strip": media.strip_url(video.frames),
        "detected": json.dumps(media.trace_outlines(video.detected)) if video.detected is not None else "",
        "metrics": [
            (METRICS[name].label, format_number(video.metrics.get(name), METRICS[name].digits))
            for name in tables.HEADLINE_METRICS
        ],
        "iou": format_number(video.metrics.get("iou")),
    }


def _build_wall_row(video: VideoEntry) -> dict[str, Any]:
    frames, height, width = video.masks.shape
    picture, poster = media.paint_masks(video.masks), get_poster_index(frames)
    return {
        "name": video.name,
        "prompt": video.prompt,
        "seed": video.seed,
        "fps": video.fps,
        "frames": frames,
        "poster_index": poster,
        "aspect": f"{width} / {height}",
        "view_height": round(1000 * height / width),
        "mask": media.video_url(picture, video.fps),
        "mask_poster": media.still_url(picture[poster]),
        "mask_strip": media.strip_url(picture),
        "outline": json.dumps(media.trace_outlines(video.masks)),
        "cells": {},
    }
