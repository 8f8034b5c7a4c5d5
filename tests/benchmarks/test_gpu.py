"""Every measurement that wants a GPU runs, small, on a CPU too."""

from __future__ import annotations

import sys

import pytest

from benchmarks import gpu
from benchmarks.gpu import METHODS, Workload


@pytest.fixture
def size(small_pack_folder) -> Workload:
    return Workload(str(small_pack_folder), "cpu", frames=3, height=64, width=64, steps=3, repeats=1, matrix=64)


def test_a_matrix_product_is_timed(size):
    assert gpu.measure_matmul(size)["tflops"] > 0


@pytest.mark.parametrize("checkpointing", [True, False])
def test_tuning_is_that_of_the_product(size, checkpointing, monkeypatch):
    from mvmodel.training import finetune as module

    configs = []
    real = module.finetune
    monkeypatch.setattr(module, "finetune", lambda *a, **k: configs.append(a[2]) or real(*a, **k))
    figures = gpu.measure_tuning(size, checkpointing)
    assert [config.gradient_checkpointing for config in configs] == [checkpointing]
    assert figures["seconds_a_step"] > 0 and figures["run_peak_megabytes"] >= figures["peak_megabytes"]


def test_a_pass_counts_the_operations_of_its_variant(size):
    image, ours, remembered = (gpu.measure_denoising(size, name, False) for name in ("image", "ours", "remembered"))
    assert remembered["tflop"] < ours["tflop"] and image["tflop"] > 0
    assert remembered["milliseconds_a_frame"] == pytest.approx(1000 * remembered["seconds"] / 2)


@pytest.mark.parametrize("method", METHODS)
def test_videos_of_each_method_are_made(size, method):
    assert gpu._videos(size, method)() is not None
    assert gpu.measure_video(size, method)["seconds_a_frame"] > 0


def test_what_fails_is_told_and_does_not_stop_the_rest():
    def breaks():
        raise RuntimeError("CUDA out of memory.\nTried much.\n\nStack")

    assert gpu._measure_or_report(breaks) == {"failed": "RuntimeError: CUDA out of memory. Tried much."}


def test_without_a_gpu_the_full_size_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu", "--device", "cpu"])
    with pytest.raises(SystemExit, match="no GPU"):
        gpu.main()


def test_shares_are_of_the_measured_product(size, tmp_path, monkeypatch):
    figures = {"tflops": 2.0, "seconds": 0.5, "tflop": 0.4}
    monkeypatch.setattr(
        gpu.MeasurementLog, "measure_apart", lambda self, key, *a: {"failed": "x"} if "full" in key else dict(figures)
    )
    figures = gpu.measure_gpu(size, tmp_path / "kept.jsonl")
    assert figures["denoising"]["ours"]["share_of_matmul"] == pytest.approx(0.4)
    assert figures["denoising"]["full"] == {"failed": "x"} and set(figures["video"]) == set(METHODS)
