from __future__ import annotations

import json
from pathlib import Path

import pytest

from mvmodel.packs import cpu_time
from mvmodel.packs.cpu_time import describe_slow_stages, estimate_slow_stages, measure_throughput
from mvmodel.packs.info import PackInfo, find_pack_folder, read_pack_info
from mvmodel.packs.memory import REFERENCE_UNET_BYTES
from mvmodel.packs.sources import PACK_DESCRIPTIONS

SD15 = PackInfo.model_validate({**PACK_DESCRIPTIONS["sd15"], "name": "sd15"})
COUNTED = Path(__file__).parents[2] / "benchmarks/results/flops.json"


def test_the_operations_are_the_counted_ones():
    counted = json.loads(COUNTED.read_text())
    assert pytest.approx(counted["training_tflop"], abs=0.01) == cpu_time.TRAINING_TFLOP
    assert pytest.approx(counted["denoising_step_tflop"], abs=0.01) == cpu_time.DENOISING_TFLOP
    assert pytest.approx(counted["first_frame_once_tflop"], abs=0.01) == cpu_time.FIRST_FRAME_TFLOP


def test_seconds_follow_from_operations_and_throughput():
    stages = estimate_slow_stages(SD15, int(REFERENCE_UNET_BYTES), 20, throughput=0.1)
    assert stages.training_step == pytest.approx(4 * 7.53 / 0.05, rel=0.01)
    assert stages.video == pytest.approx(2 * (0.49 + 20 * 7.05) / 0.05, rel=0.01)
    assert stages.judged_frame == pytest.approx(1.2 / 0.05)
    half = estimate_slow_stages(SD15.model_copy(update={"frames": 8}), int(REFERENCE_UNET_BYTES), 20, throughput=0.1)
    assert half.video == pytest.approx(stages.video / 2)


def test_the_sentence_names_each_slow_stage_and_that_it_is_an_estimate(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu_time, "has_large_unet", lambda folder: True)
    monkeypatch.setattr(cpu_time, "count_half_precision_bytes", lambda folder: int(REFERENCE_UNET_BYTES))
    monkeypatch.setattr(cpu_time, "measure_throughput", lambda: 0.1)
    sentence = describe_slow_stages(tmp_path, SD15, "cpu", training_steps=3000, denoising_steps=20, judge=True)
    assert "10 min for a training step (502 h 0 min for 3000 steps)" in sentence
    assert "94 h" not in sentence and "1 h 34 min for a video in 20 denoising steps" in sentence
    assert "24 s for each frame in which the judge looks" in sentence
    assert "estimate by counted operations, at 50% of the 100 GFLOP/s" in sentence
    assert "video" not in describe_slow_stages(tmp_path, SD15, "cpu", training_steps=1)
    assert describe_slow_stages(tmp_path, SD15, "cuda", training_steps=1) == ""


def test_small_models_are_not_worth_a_sentence(monkeypatch):
    monkeypatch.setattr(cpu_time, "measure_throughput", lambda: pytest.fail("nothing is to be measured"))
    folder = find_pack_folder("tiny")
    assert describe_slow_stages(folder, read_pack_info(folder), "cpu", training_steps=100) == ""


def test_the_probe_measures_a_plausible_throughput():
    assert 1e-4 < measure_throughput() < 100
