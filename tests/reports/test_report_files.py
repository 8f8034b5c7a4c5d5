"""A report's folder: page, tables and contact sheet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from PIL import Image

from mvmodel.reports.entries import rank_videos
from mvmodel.reports.report_files import (
    METRICS_FILE,
    SHEET_FILE,
    draw_video_sheet,
    write_leaderboard_folder,
    write_motion_report_folder,
)


def test_a_motions_folder_has_page_tables_and_sheet(tmp_path: Path, videos, rows, provenance) -> None:
    write_motion_report_folder(tmp_path, "gallop", videos, rows, provenance)
    assert (tmp_path / "report.html").exists()
    assert len(pd.read_parquet(tmp_path / METRICS_FILE)) == len(pd.read_csv(tmp_path / "metrics.csv")) == len(rows)
    assert set(pd.read_csv(tmp_path / "summary.csv")["condition"]) == {"full", "no_mask", "scratch"}
    height, width = videos[0].frames.shape[1:3]
    with Image.open(tmp_path / SHEET_FILE) as sheet:
        assert sheet.size == (8 * width, 4 * height), "masks and frames of the full method's two videos"


def test_a_leaderboards_folder_also_has_the_history(tmp_path: Path, videos, rows, provenance) -> None:
    history = pd.DataFrame([{"motion": "gallop", "version": 1, "when": "2026-01-01", "promoted": True, "iou": 0.7}])
    quarantine = pd.DataFrame([{"file": "a.mp4", "reason": "no video"}])
    tables = {"gallop": rows.assign(slug="gallop")}
    write_leaderboard_folder(tmp_path, tables, history, videos, quarantine, provenance=provenance)
    assert "no video" in (tmp_path / "leaderboard.html").read_text()
    assert list(pd.read_csv(tmp_path / "versions.csv")["motion"]) == ["gallop"]
    assert set(pd.read_csv(tmp_path / "summary.csv")["slug"]) == {"gallop"}


def test_a_leaderboard_without_motions_can_be_written(tmp_path: Path) -> None:
    write_leaderboard_folder(tmp_path, {}, pd.DataFrame(), [], pd.DataFrame({"file": [], "reason": []}))
    assert (tmp_path / "leaderboard.html").exists() and (tmp_path / SHEET_FILE).exists()


def test_no_video_is_both_best_and_worst(videos) -> None:
    full = [video for video in videos if video.condition == "full"]
    ranked = [replace(full[0], name=str(iou), metrics={"iou": iou}) for iou in (0.1, 0.9, 0.5, 0.7)]
    best, worst = rank_videos([*ranked, replace(full[0], metrics={})], 3)
    assert [video.name for video in best] == ["0.9", "0.7", "0.5"] and [video.name for video in worst] == ["0.1"]


def test_a_sheet_of_no_videos_is_an_empty_picture() -> None:
    assert draw_video_sheet([]).size == (16, 16)
