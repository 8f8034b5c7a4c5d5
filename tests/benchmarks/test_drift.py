"""The comparison of long videos: its masks, figures, table and what makes a cell another one."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from benchmarks import drift
from mvmodel.backends.generation_config import GenerationConfig


def test_clips_are_played_there_and_back_without_a_stop():
    played = drift.play_there_and_back(np.arange(4), 11)
    assert played.tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]
    assert drift.play_there_and_back(np.arange(4), 3).tolist() == [0, 1, 2]


def test_spans_end_at_the_lengths_and_at_the_videos_end():
    assert drift.get_frame_spans(200) == [(1, 24), (24, 50), (50, 100), (100, 200)]
    assert drift.get_frame_spans(30) == [(1, 24), (24, 30)] and drift.get_frame_spans(24) == [(1, 24)]


@pytest.mark.parametrize("name", drift.SETTINGS)
def test_every_setting_is_a_configuration_of_its_own(name):
    GenerationConfig(**drift.SETTINGS[name])
    keys = {drift._key(other, change, 0) for other, change in drift.SETTINGS.items()}
    assert len(keys) == len(drift.SETTINGS)
    assert drift._key(drift.TRUE_CLIPS, {}, 0) not in keys and drift._key("other name", {}, 0) == drift._key("x", {}, 0)


def test_a_jump_at_the_seams_shows_and_the_object_does_not():
    video = np.zeros((9, 8, 8, 3), np.uint8)
    video += np.arange(9, dtype=np.uint8)[:, None, None, None]
    masks = np.zeros((9, 8, 8), bool)
    masks[:, :2] = True
    assert drift.compute_seam_jump(video, masks, [4]) == pytest.approx(1.0)
    jumping = video.copy()
    jumping[4:] += 9
    assert drift.compute_seam_jump(jumping, masks, [4]) == pytest.approx(10.0)
    moving = video.copy()
    moving[4:, :2] += 200
    assert drift.compute_seam_jump(moving, masks, [4]) == pytest.approx(1.0)
    assert math.isnan(drift.compute_seam_jump(video, masks, []))


def test_table_gives_spans_and_the_change_over_clips():
    def cell(late: float) -> dict:
        flat = {"to_first": [1.0] * 3, "colour_drift": [2.0] * 3, "sharpness": [0.5] * 3}
        return {"frame": [2, 24, 30], "iou": [0.8, 0.6, late], **flat, "seam": 1.5, "seconds_a_frame": 0.25}

    lines = drift.format_table({"a": [cell(0.4), cell(0.6)]}, 30).splitlines()
    assert lines[0].startswith("| setting | figure | videos | frames 2–24 | frames 25–30 |")
    assert lines[2] == "| a | IoU | 2 | 0.700 | 0.500 | -0.200 (-0.300 to -0.100) |"
    assert lines[-1] == "| a | 1.50 | 0.25 |"


def test_settings_are_compared_with_the_default_clip_by_clip():
    def cell(iou: float) -> dict:
        flat = {"to_first": [1.0] * 2, "colour_drift": [2.0] * 2, "sharpness": [0.5] * 2}
        return {"frame": [2, 20], "iou": [iou, iou], **flat, "seam": 1.0, "seconds_a_frame": 0.1}

    found = {drift.DEFAULT: [cell(0.5), cell(0.9), cell(0.1)], "b": [cell(0.6), cell(1.0)]}
    line = next(line for line in drift.format_table(found, 20).splitlines() if line.startswith("| b, less"))
    assert line.startswith("| b, less the default | 2 | +0.100 (+0.100 to +0.100) | +0.000 ")


@pytest.mark.slow
def test_cells_are_made_once_and_true_clips_do_not_drift(tiny_pack, tmp_path, monkeypatch, capsys):
    file = tmp_path / "drift.jsonl"

    def run(*more: str) -> str:
        options = ["--out", str(file), "--clips", "1", "--frames", "26", "--workers", "1"]
        monkeypatch.setattr(sys, "argv", ["drift", *options, "--only", "true", "default", *more])
        drift.main()
        return capsys.readouterr().out

    first, size = run(), file.stat().st_size
    assert run("--plot", str(tmp_path / "drift.png")) == first and file.stat().st_size == size
    assert (tmp_path / "drift.png").stat().st_size > 10_000
    lines = [line.split("|") for line in first.splitlines() if line.startswith("| true clips | colour drift")]
    assert abs(float(lines[0][5]) - float(lines[0][4])) < 0.5
