"""The comparison of samplers: its settings, its table, and that a cell scores what it says."""

from __future__ import annotations

import math
import sys

import pytest

from benchmarks import sampling
from benchmarks.mask_term import render_test_clips as held_out_clips
from mvmodel.backends.generation_config import GenerationConfig


@pytest.mark.parametrize("name", sampling.SETTINGS)
def test_every_setting_is_a_valid_configuration_and_both_defaults_are_the_packs(name, tiny_pack):
    made, default = (GenerationConfig(**changes).for_pack(tiny_pack.info) for changes in (sampling.SETTINGS[name], {}))
    assert (made == default) == (name in sampling.DEFAULTS.values())


def test_table_compares_clip_by_clip_and_leaves_out_what_is_lacking():
    def row(iou: float, drift: float) -> dict[str, float]:
        return {"iou": iou, "consistency": 0.9, "colour_drift": drift, "motion": 2.0, "flicker": 1.0, "seconds": 4.0}

    rows_by_setting = {
        "a": [row(0.5, 3.0), row(0.7, 5.0), None],
        "b": [row(0.6, 1.0), row(0.8, 1.0), row(0.1, 1.0)],
        "c": [],
    }
    lines = sampling.format_table(rows_by_setting, ["a", "b", "c"], "a").splitlines()
    assert len(lines) == 4, "nothing is said of a setting without a video"
    a, b = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:])
    assert a[:3] == ["a", "2", "0.600 (0.500–0.700)"] and a[-3:] == ["", "", ""]
    assert b[1] == "3" and b[-3:] == [
        "+0.100 (+0.100 to +0.100)",
        "-3.000 (-4.000 to -2.000)",
        "+0.000 (+0.000 to +0.000)",
    ]


@pytest.mark.slow
def test_a_cell_is_measured_once_and_the_true_clip_is_followed_best(tiny_pack, tmp_path, monkeypatch, capsys):
    true, made = (sampling.measure_cell("tiny", name, 0, 1) for name in (sampling.TRUE_CLIPS, "dpm++ at 10"))
    assert true["iou"] > made["iou"] and true["colour_drift"] < made["colour_drift"]
    assert math.isnan(true["seconds"]) and made["seconds"] > 0
    assert held_out_clips(1)[0][1].masks.shape[0] == sampling.FRAMES

    def run() -> str:
        options = ["--out", str(tmp_path / "s.jsonl"), "--clips", "1", "--workers", "1", "--only", "at 10"]
        monkeypatch.setattr(sys, "argv", ["sampling", *options])
        sampling.main()
        return capsys.readouterr().out

    first, size = run(), (tmp_path / "s.jsonl").stat().st_size
    assert run() == first and (tmp_path / "s.jsonl").stat().st_size == size
