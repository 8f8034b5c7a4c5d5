"""Every measurement that wants a GPU runs, small, on a CPU too."""

from __future__ import annotations

import json
import math
import sys
import time

import numpy as np
import pytest
import torch

from benchmarks import gpu, gpu_agreement, gpu_ladder, gpu_launches, gpu_passes
from benchmarks.gpu import METHODS, RUNGS, STEP_DOWN, Session
from benchmarks.gpu_tables import format_tables
from benchmarks.gpu_workload import Workload, measure_or_report
from benchmarks.measurements import MeasurementLog, SharedProcess
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.packs import Pack
from mvmodel.packs.memory import LADDER


@pytest.fixture
def size(small_pack_folder) -> Workload:
    return Workload(str(small_pack_folder), "cpu", frames=3, height=64, width=64, steps=3, repeats=1, matrix=64)


class SameProcess(SharedProcess):
    """Measures here."""

    def run(self, measure, *arguments, seconds=math.inf):
        return measure_or_report(lambda: measure(*arguments))


def test_a_matrix_product_is_timed(size):
    assert gpu_passes.measure_matmul(size)["tflops"] > 0


@pytest.mark.parametrize("checkpointing", [True, False])
def test_tuning_is_that_of_the_product(size, checkpointing, monkeypatch):
    configs = []
    real = gpu_passes.finetune
    monkeypatch.setattr(gpu_passes, "finetune", lambda *a, **k: configs.append(a[2]) or real(*a, **k))
    figures = gpu_passes.measure_tuning(size, checkpointing)
    assert [config.gradient_checkpointing for config in configs] == [checkpointing]
    assert figures["seconds_a_step"] > 0 and figures["run_peak_megabytes"] >= figures["peak_megabytes"]


def test_a_pass_counts_the_operations_of_its_variant(size):
    image, ours, remembered = (gpu_passes.measure_denoising(size, name, False) for name in gpu.PASSES[:3])
    assert remembered["tflop"] < ours["tflop"] and image["tflop"] > 0
    assert remembered["milliseconds_a_frame"] == pytest.approx(1000 * remembered["seconds"] / 2)


@pytest.mark.parametrize("method", METHODS)
def test_videos_of_each_method_are_made(size, method):
    assert gpu_passes.measure_video(size, method)["seconds_a_frame"] > 0


def test_a_rung_trains_and_generates_within_its_card(size):
    figures = gpu_ladder.measure_rung(size, "8gb", "float32", "no")
    assert figures["limit_gib"] == pytest.approx(6.8) and figures["training"]["seconds_a_step"] > 0
    assert figures["video"]["steps"] == 3 and figures["video"]["seconds_first_frame"] > 0


def test_what_does_not_fit_is_said_and_the_video_still_measured(size, monkeypatch):
    def run_out(*_, **__):
        raise MemoryError("no memory left")

    monkeypatch.setattr(gpu_ladder, "finetune", run_out)
    figures = gpu_ladder.measure_rung(size, "24gb", "float32", "no")
    assert "no memory left" in figures["training"]["failed"] and "failed" in figures["video"]  # it has no adapter


def test_memory_that_runs_out_steps_down_once_and_is_said(size, monkeypatch):
    from mvmodel.training.loop import _Run

    original, calls = _Run.train_step, []

    def train_step(run, batch):
        calls.append(run.step)
        if len(calls) == 1:
            raise MemoryError("no memory left")
        original(run, batch)

    monkeypatch.setattr(_Run, "train_step", train_step)
    figures = gpu_ladder.measure_step_down(size)
    assert (figures["chosen"], figures["used"]) == (LADDER[0].level, LADDER[1].level)
    assert len(figures["said"]) == 1 and "memory plan 16gb" in figures["said"][0]
    assert figures["seconds_a_step"] > 0


def test_a_video_that_runs_out_of_memory_steps_down_and_is_finished(size, monkeypatch):
    from mvmodel.backends.image_unet.denoiser import Denoiser

    original, calls = Denoiser.predict, []

    def predict(denoiser, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("no memory left")
        return original(denoiser, *arguments)

    monkeypatch.setattr(Denoiser, "predict", predict)
    figures = gpu_ladder.measure_video_step_down(size)
    assert (figures["chosen"], figures["used"]) == ("24gb", "12gb") and figures["steps"] == 3
    assert len(figures["said"]) == 1 and "memory plan 12gb" in figures["said"][0]


def test_passes_take_turns_and_the_hosts_share_is_told(size, monkeypatch):
    monkeypatch.setattr(gpu_launches.os, "cpu_count", lambda: 0)
    figures = gpu_launches.measure_launches(size)
    assert {name: row["rows"] for name, row in figures.items()} == {
        "image, 3 frames": 3,
        "ours, 3 frames": 3,
        "ours, 2 frames": 2,
        "remembered, 3 frames": 2,
        "remembered, 4 frames": 3,
    }
    assert all(0 < row["host_seconds"] <= row["seconds"] for row in figures.values())
    assert all(row["seconds_with_busy_processors"] > 0 for row in figures.values())


def test_bfloat16_nearly_agrees_with_float32(small_pack_folder, tmp_path, monkeypatch):
    pack, file = str(small_pack_folder), tmp_path / "reference.npz"
    monkeypatch.setattr(gpu_agreement, "GENERATION", GenerationConfig(steps=1, first_frame_steps=1))
    monkeypatch.setattr(gpu_agreement, "TRAINING_STEPS", 1)
    monkeypatch.setattr(Pack, "independent_segmenter", lambda self: None)
    reference = gpu_agreement.measure_reference(pack, file)
    half = gpu_agreement.measure_agreement(pack, "cpu", "bfloat16", file, reference)
    assert half["finite"] and half["largest_metric_difference"] < 1e-3
    assert 20 < half["video_psnr"] < 100 and half["loss"] == pytest.approx(reference["loss"], rel=0.1)


def test_equal_frames_have_the_highest_psnr():
    frames = np.full((2, 4, 4, 3), 9, np.uint8)
    assert gpu_agreement.compute_psnr(frames, frames) == 100.0
    assert gpu_agreement.compute_psnr(frames, frames + 1) == pytest.approx(48.13, abs=0.01)


def test_what_fails_is_told_and_does_not_stop_the_rest():
    def breaks():
        raise RuntimeError("CUDA out of memory.\nTried much.\n\nStack")

    assert measure_or_report(breaks) == {"failed": "RuntimeError: CUDA out of memory. Tried much."}


def test_without_a_gpu_the_full_size_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu", "--device", "cpu"])
    with pytest.raises(SystemExit, match="no GPU"):
        gpu.main()


def test_failures_are_measured_again_and_nothing_begins_after_the_deadline(tmp_path):
    session = Session(MeasurementLog(tmp_path / "kept.jsonl", {}), SameProcess(), time.monotonic() + 60)
    assert "ZeroDivisionError" in session.measure("a", lambda: {"x": 1 / 0})["failed"]
    assert session.measure("a", lambda: {"x": 1}) == {"x": 1}
    assert session.measure("a", lambda: {"x": 2}) == {"x": 1}
    session.deadline = time.monotonic() - 1
    assert "no time was left" in session.measure("b", lambda: {"x": 1})["failed"]


def test_all_parts_are_one_report_with_tables(size, tmp_path, monkeypatch):
    figures = {"tflops": 2.0, "seconds": 0.5, "tflop": 0.4}
    launches = {"ours, 16 frames": {"seconds": 0.5, "longest_kernels": {"gemm": 0.25}}}
    rung = {"limit_gib": 6.8, "training": {"failed": "OutOfMemoryError"}, "video": {"peak_allocated_gib": 2.5}}
    kept = {"ladder": rung, "ladder, memory": {"said": ["memory ran out"]}, "denoising, full": {"failed": "x"}}
    kept["launches"] = launches
    monkeypatch.setattr(
        Session, "measure", lambda self, key, *a: dict(kept.get(key) or kept.get(key.split(",")[0]) or figures)
    )
    session = Session(MeasurementLog(tmp_path / "kept.jsonl", {}), SameProcess(), math.inf)
    report = gpu.measure_gpu(session, size, "tiny", gpu.PARTS)
    assert report["denoising"]["ours"]["share_of_matmul"] == pytest.approx(0.4)
    assert report["denoising"]["full"] == {"failed": "x"} and set(report["video"]) == set(METHODS)
    assert len(report["ladder"]) == len(RUNGS) + 2 and STEP_DOWN in report["ladder"]
    assert report["launches"] == launches
    few = gpu.measure_gpu(session, size, "tiny", ("ladder", "denoising"), (STEP_DOWN, "image"))
    assert {part: list(found) for part, found in few.items()} == {"ladder": [STEP_DOWN], "denoising": ["image"]}
    text = format_tables({**report, "on": {"card": "a card"}})
    assert "a card: ladder" in text and "does not fit: OutOfMemoryError" in text and "2.5" in text
    json.dumps(report)
