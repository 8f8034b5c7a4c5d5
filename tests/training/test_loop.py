"""The training loop alone, on a model of one weight: stops, checkpoints, averages, the learning rate."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pytest
import torch

from mvmodel.errors import InputError
from mvmodel.training.checkpoint_state import write_state
from mvmodel.training.loop import TrainingInterrupted, train
from mvmodel.training.optimizer import LoopConfig, build_optimizer, learning_rate


def _line(steps: int, **changes):
    """A one-weight model for tests of the loop itself."""
    model = torch.nn.Linear(1, 1)
    config = LoopConfig(steps=steps, batch=1, lr=1e-2, precision="no", checkpoint_every=2, **changes)
    return model, config


def test_loop_stops_at_a_loss_that_is_not_finite_and_keeps_the_checkpoint(tmp_path):
    model, config = _line(10)

    def loss(net, x, step):
        return net(x).mean() * (float("nan") if step == 5 else 1.0), {}

    with pytest.raises(FloatingPointError, match="line: the loss is not finite at step 5"):
        train("line", model, lambda i: torch.ones(1, 1), loss, config, tmp_path)
    assert (tmp_path / "checkpoint-2" / "complete").read_text() == "4"


def test_loop_stops_at_a_gradient_that_is_not_finite(tmp_path):
    """A loss may be finite where its gradient is not: sqrt at 0."""
    model, config = _line(10)

    def loss(net, x, step):
        extra = (net.weight * 0).abs().sum().sqrt() if step == 3 else 0.0
        return net(x).mean() + extra, {}

    with pytest.raises(FloatingPointError, match="line: a gradient is not finite at step 3"):
        train("line", model, lambda i: torch.ones(1, 1), loss, config, tmp_path)
    assert torch.isfinite(model.weight).all()
    assert (tmp_path / "checkpoint" / "complete").read_text() == "2"


def test_a_checkpoint_cut_short_leaves_the_one_before(tmp_path, monkeypatch):
    model, config = _line(6)

    def cut(folder, state):
        if folder.name == "checkpoint-2":
            folder.mkdir()
            (folder / "state.safetensors").write_text("half")
            raise KeyboardInterrupt
        write_state(folder, state)

    steps: list[int] = []

    def loss(net, x, step):
        steps.append(step)
        return net(x).square().mean(), {}

    monkeypatch.setattr("mvmodel.training.loop.write_state", cut)
    with pytest.raises(KeyboardInterrupt):
        train("line", model, lambda i: torch.ones(1, 1), loss, config, tmp_path, report=lambda row: None)
    monkeypatch.undo()
    steps.clear()
    train("line", model, lambda i: torch.ones(1, 1), loss, config, tmp_path, report=lambda row: None)
    assert steps == [2, 3, 4, 5]


def test_a_preview_that_fails_is_told_and_does_not_stop_the_run(tmp_path):
    model, config = _line(4, sample_every=2)
    rows: list[dict] = []

    def sample(net, png):
        raise RuntimeError("no room on the device")

    def loss(net, x, step):
        return net(x).square().mean(), {}

    train("line", model, lambda i: torch.ones(1, 1), loss, config, tmp_path, sample=sample, report=rows.append)
    assert [row for row in rows if "preview_failed" in row] == [
        {"step": step, "preview_failed": "RuntimeError: no room on the device"} for step in (2, 4)
    ]


def test_looking_at_averaged_weights_leaves_training_its_own(tmp_path):
    steps: list[float] = []

    def train_line(name: str, **changes: Any) -> torch.Tensor:
        torch.manual_seed(0)
        model, config = _line(12, ema=0.9, **changes)

        def sample(net, png):
            steps.append(float(net.weight.detach()))

        def loss(net, x, step):
            return (net(x) - 3).square().mean(), {}

        return train(
            "line",
            model,
            lambda i: torch.ones(1, 1),
            loss,
            config,
            tmp_path / name,
            sample=sample,
            report=lambda row: None,
        ).weight.detach()

    looked = train_line("often", sample_every=4)
    assert torch.equal(looked, train_line("once", sample_every=100))
    assert len(steps) == 4 and len(set(steps[:3])) == 3


def test_loop_stops_cleanly_on_sigterm_and_goes_on(tmp_path):
    model, config = _line(2000)
    steps: list[int] = []

    def loss(net, x, step):
        steps.append(step)
        if len(steps) == 3 and step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        return net(x).square().mean(), {}

    with pytest.raises(TrainingInterrupted, match="stopped at step 3; run again"):
        train("line", model, lambda i: torch.ones(1, 1), loss, config, tmp_path, report=lambda row: None)
    steps.clear()
    short = LoopConfig(**{**config.__dict__, "steps": 6})
    train("line", model, lambda i: torch.ones(1, 1), loss, short, tmp_path, report=lambda row: None)
    assert steps[0] == 3


def test_learning_rate_warms_up_and_falls():
    config = LoopConfig(steps=100, batch=1, lr=1.0, warmup=10, final_lr=0.1)
    values = [learning_rate(step, config) for step in range(100)]
    assert values[0] == pytest.approx(0.1) and max(values) == 1.0
    assert values[-1] == pytest.approx(0.1, abs=0.01)


def test_a_missing_8_bit_optimizer_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    config = LoopConfig(steps=1, batch=1, lr=1e-3, optimizer="adamw8bit")
    with pytest.raises(InputError, match="adamw8bit needs bitsandbytes.*mvmodel.bnb.*or use adamw"):
        build_optimizer([{"params": [torch.nn.Parameter(torch.zeros(2))]}], config)


def test_the_learning_rate_follows_the_time_where_it_is_limited():
    config = LoopConfig(steps=1000, batch=1, lr=1.0, warmup=10, final_lr=0.1, minutes=1.0)
    assert learning_rate(10, config, seconds=0.0) == pytest.approx(1.0)
    assert learning_rate(10, config, seconds=30.0) == pytest.approx(0.55)
    assert learning_rate(10, config, seconds=90.0) == pytest.approx(0.1)
    assert learning_rate(1000, config, seconds=0.0) == pytest.approx(0.1)  # the steps are up before the time is


def test_training_ends_when_its_time_is_up_and_stays_ended(tmp_path):
    model, config = _line(10_000, minutes=0.005, log_every=10_000)
    rows: list[dict] = []

    def loss(net, x, step):
        time.sleep(0.02)
        return net(x).square().mean(), {}

    train("line", model, lambda i: torch.ones(1, 1), loss, config, tmp_path, report=rows.append)
    assert 1 <= rows[-1]["step"] < 100
    train("line", model, lambda i: torch.ones(1, 1), loss, config, tmp_path, report=rows.append)
    assert rows[-1]["step"] == rows[-2]["step"] + 1


def _validate_by(values: list[float]):
    """A validation whose results are given, and the bias that the model had at each."""
    biases: list[float] = []

    def validate(net: torch.nn.Module) -> float:
        biases.append(float(net.bias.detach()))
        return values[len(biases) - 1]

    return validate, biases


def _square(net, x, step):
    return net(x).square().mean(), {}


def test_training_stops_when_the_held_out_loss_rises_and_keeps_the_best_weights(tmp_path):
    model, config = _line(100, validate_every=2, patience=2, log_every=100)
    validate, biases = _validate_by([0.5, 0.4, 0.6, 0.7])
    rows: list[dict] = []
    options = {"report": rows.append, "validate": validate, "start_validation": 1.0}
    trained = train("line", model, lambda i: torch.ones(1, 1), _square, config, tmp_path, **options)
    assert float(trained.bias.detach()) == biases[1]
    assert [(row["step"], row["validation"]) for row in rows] == [(0, 1.0), (2, 0.5), (4, 0.4), (6, 0.6), (8, 0.7)]
    fresh, _ = _line(100)
    again = train("line", fresh, lambda i: torch.ones(1, 1), _square, config, tmp_path, **options)
    assert float(again.bias.detach()) == biases[1] and len(biases) == 4, "a stopped training stays stopped"


def test_without_patience_the_last_weights_are_kept_and_validation_changes_nothing(tmp_path):
    results = []
    for name, options in (("plain", {}), ("validated", {"validate": lambda net: 1.0, "start_validation": 0.1})):
        torch.manual_seed(0)
        model, config = _line(6, validate_every=2)
        trained = train(
            "line",
            model,
            lambda i: torch.ones(1, 1),
            _square,
            config,
            tmp_path / name,
            report=lambda row: None,
            **options,
        )
        results.append(float(trained.bias.detach()))
    assert results[0] == results[1]
