"""What is compared computes what its name says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from benchmarks import cost, measurements
from benchmarks.cost import TRAINING_STEPS, CostConfig, fit_exponent, measure_cost, time_interleaved
from benchmarks.measurements import MeasurementLog, run_in_fresh_process
from benchmarks.variants import VARIANTS, make_call
from tests.benchmarks.apart import figure, megabytes
from tests.model.conftest import small_unet


@pytest.fixture
def small():
    from mvmodel.model.adapter import MotionMaskAdapter

    unet = small_unet()
    return unet, MotionMaskAdapter.for_unet(unet, mask_width=4).eval()


def test_repeated_keys_give_what_ours_gives_and_the_others_do_not(small):
    unet, adapter = small
    made = {name: make_call(name, unet, adapter, 3, 8)() for name in ("ours", "repeated", "full")}
    torch.testing.assert_close(made["repeated"], made["ours"], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(made["full"], made["ours"], atol=1e-2)
    assert make_call("image", unet, adapter, 3, 8)().shape == made["ours"].shape


def test_exponent_of_a_power_law():
    assert fit_exponent([8, 16, 200], [8**1.5, 16**1.5, 200**1.5]) == pytest.approx(1.5)


def test_runs_take_turns():
    order: list[str] = []
    seconds = time_interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3 and set(seconds) == {"a", "b"}


def test_a_remembered_step_gives_the_later_frames_of_the_whole_pass(small):
    unet, adapter = small
    torch.manual_seed(4)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    whole = make_call("ours", unet, adapter, 3, 8)()
    torch.testing.assert_close(make_call("remembered", unet, adapter, 3, 8)(), whole[1:], atol=1e-4, rtol=1e-4)


def test_the_first_run_does_not_count(monkeypatch):
    clock, durations = [0.0], iter([0.0, 4.0, 1.0])

    def run() -> None:
        clock[0] += next(durations)

    monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert time_interleaved({"a": run}, 2) == {"a": 1.0}


def test_what_was_measured_is_kept_and_other_recipes_measure_anew(tmp_path):
    import os

    log = MeasurementLog(tmp_path / "kept.jsonl", {"code": 1})
    first = log.measure_apart("a", figure, 3)
    assert first["value"] == 9 and first["process"] != os.getpid() and "load_before" in first
    with open(tmp_path / "kept.jsonl", "a") as file:
        file.write('{"recipe": "cut off in the mid')
    assert log.measure_apart("a", figure, 4) == first, "not measured again"
    assert log.measure_apart("b", figure, 4)["value"] == 16
    other = MeasurementLog(tmp_path / "kept.jsonl", {"code": 2})
    assert other.rows() == {} and set(log.rows()) == {"a", "b"}


def test_memory_is_what_the_run_needs_at_its_highest_and_no_more():
    figures = run_in_fresh_process(megabytes, 200)
    assert 190 < figures["lifted"] < 260, "held for a moment only, after more had been held before"


@pytest.mark.slow
def test_the_smallest_run_gives_every_figure_and_is_not_made_twice(tmp_path, capfd, monkeypatch):
    timings = (cost.variants_seconds, cost.training_seconds, cost.growth_seconds)

    def run(measure, *arguments):
        """Memory needs a fresh process; seconds do not, and a process takes long to start."""
        return measure(*arguments) if measure in timings else run_in_fresh_process(measure, *arguments)

    monkeypatch.setattr(measurements, "run_in_fresh_process", run)
    config, file = CostConfig.quick().model_copy(update={"memory_of": ("ours",)}), tmp_path / "cost.jsonl"
    figures = measure_cost(config, file)
    assert set(figures["tiny"]["ratio"]) == set(VARIANTS)
    assert set(figures["tiny"]["peak_megabytes"]) == set(config.memory_of)
    assert figures["tiny"]["ratio"]["image"] == 1 and min(figures["tiny"]["peak_megabytes"].values()) > 0
    assert set(figures["training_step"]["seconds"]) == set(TRAINING_STEPS) and figures["growth"]["exponent"] > 0
    told = capfd.readouterr().err
    assert "tiny: seconds" in told and "growth" in told
    assert measure_cost(config, file) == figures and "seconds" not in capfd.readouterr().err
