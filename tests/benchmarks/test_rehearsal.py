"""The rehearsal: which samples belong to a stage, which clips it uses, and the whole of it on a small random pack."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks.rehearsal import MemorySample, format_stages, link_clips, measure_stages, merge_report, run_rehearsal
from mvmodel.video.frames import read_frames


def test_a_stages_peak_is_of_the_samples_while_it_ran():
    samples = [
        MemorySample(time, gib, gpu_gib)
        for time, gib, gpu_gib in ((1.0, 9, 9), (10.0, 1, 0.1), (11.0, 3, 0.2), (12.0, 2, 0.5), (20.0, 8, 8))
    ]
    stages = [
        {"name": "clips", "seconds": 2.0, "ended": 12.0},
        {"name": "reports", "seconds": 0.1, "ended": 15.0},
        {"name": "old", "seconds": 0.0, "ended": None},
    ]
    figures = measure_stages(stages, samples)
    assert figures["clips"] == {"seconds": 2.0, "peak_gib": 3.0, "peak_gpu_gib": 0.5}
    assert figures["reports"]["peak_gib"] == figures["old"]["peak_gib"] == 0.0


def test_clips_are_linked_as_one_motion(repository: Path, tmp_path: Path):
    link_clips(repository / "datasets" / "samples", 2, tmp_path / "clips", repository / "datasets" / "ground_truth")
    with open(tmp_path / "clips" / "manifest.csv") as manifest:
        rows = list(csv.DictReader(manifest))
    assert len(rows) == 2 and {row["motion"] for row in rows} == {"rehearsal"}
    for row in rows:
        clip = tmp_path / "clips" / row["file"]
        assert clip.exists() and clip.with_suffix(".masks.npz").exists()
    with pytest.raises(SystemExit, match="has no videos"):
        link_clips(tmp_path, 2, tmp_path / "more")


def test_reports_of_several_devices_share_a_file(tmp_path: Path):
    stages = {"clips": {"seconds": 2.0, "peak_gib": 3.0, "peak_gpu_gib": 0.0}}
    report = {"stages": stages, "seconds": 9.5, "peak_gib": 4.0, "peak_gpu_gib": 0.0}
    assert format_stages(report).splitlines()[2:] == ["| clips | 2 | 3 | 0 |", "| all | 9.5 | 4 | 0 |"]
    file = tmp_path / "rehearsal.json"
    assert merge_report(file, "CPU", report) == {"CPU": report}
    file.write_text(json.dumps({"CPU": report}))
    assert merge_report(file, "a card", {}) == {"CPU": report, "a card": {}}


@pytest.mark.slow
def test_every_stage_passes_on_a_small_random_pack_and_wide_frames(
    small_pack_folder: Path, repository: Path, tmp_path: Path
):
    samples, masks = repository / "datasets" / "samples", repository / "datasets" / "ground_truth"
    figures = run_rehearsal(str(small_pack_folder), samples, 2, "", "auto", tmp_path, masks, size="96x64")
    assert figures["exit_code"] == 0, figures["failures"]
    assert {"clips", "foreground_masks", "motion_adapter", "generated_videos", "metric_report"} <= set(
        figures["stages"]
    )
    (video,) = (tmp_path / "home" / "store" / "generated_videos").rglob("full/*.mp4")
    assert read_frames(video).shape[1:3] == (64, 96)
    assert figures["peak_gib"] > 0.2 and figures["stages"]["motion_adapter"]["peak_gib"] > 0.2
