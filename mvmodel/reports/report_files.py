"""A report's folder: the page, the tables behind it and a contact sheet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from mvmodel.metrics.report_card import summarise
from mvmodel.reports.entries import VideoEntry, rank_videos
from mvmodel.reports.pages import RANKED_VIDEOS, write_leaderboard, write_motion_report
from mvmodel.video.contact_sheet import contact_sheet, mask_to_picture
from mvmodel.video.sampling import evenly_spaced_indices

SHEET_FILE = "sheet.png"
"""Contact sheet: a row of control masks above a row of frames, for every video."""
METRICS_FILE = "metrics.parquet"
"""One row per video; metrics.csv has the same rows, summary.csv means with intervals."""


def write_motion_report_folder(
    folder: Path, motion: str, videos: Sequence[VideoEntry], metrics: pd.DataFrame, *page: Any, **page_options: Any
) -> None:
    """Write the report of one motion, its tables and its contact sheet. Arguments as in `pages.write_motion_report`."""
    write_motion_report(folder, motion, videos, metrics, *page, **page_options)
    draw_video_sheet([video for video in videos if video.condition == "full"]).save(folder / SHEET_FILE)
    _write_metric_tables(folder, metrics, ["condition"])


def write_leaderboard_folder(
    folder: Path,
    motions: Mapping[str, pd.DataFrame],
    history: pd.DataFrame,
    videos: Sequence[VideoEntry],
    quarantine: pd.DataFrame,
    **page_options: Any,
) -> None:
    """Write the leaderboard, its tables and its contact sheet of the best and the worst videos.

    Also writes versions.csv, the history. quarantine: the refused files, with columns file and reason. Other arguments
    as in `pages.write_leaderboard`.
    """
    rows = pd.concat(motions.values(), ignore_index=True) if motions else pd.DataFrame({"slug": [], "condition": []})
    _write_metric_tables(folder, rows, ["slug", "condition"])
    history.to_csv(folder / "versions.csv", index=False)
    best, worst = rank_videos(videos, RANKED_VIDEOS)
    draw_video_sheet([*best, *worst]).save(folder / SHEET_FILE)
    quarantined = json.loads(quarantine.to_json(orient="records"))
    write_leaderboard(folder, motions, history, videos=videos, quarantined=quarantined, **page_options)


def draw_video_sheet(videos: Sequence[VideoEntry], columns: int = 8) -> Image.Image:
    """A contact sheet with two rows per video: its control masks, then its frames."""
    pictures: list[np.ndarray] = []
    for video in videos:
        indices = evenly_spaced_indices(columns, len(video.frames), repeat=True)
        pictures += [*mask_to_picture(video.masks[indices]), *video.frames[indices]]
    return contact_sheet(pictures or [np.full((16, 16, 3), 255, np.uint8)], columns=columns)


def _write_metric_tables(folder: Path, rows: pd.DataFrame, by: Sequence[str]) -> None:
    rows.to_parquet(folder / METRICS_FILE, index=False)
    rows.to_csv(folder / "metrics.csv", index=False)
    summarise(rows, by=by).to_csv(folder / "summary.csv", index=False)
