"""Checkpoints: read as they were written; a resumed run equals an unbroken one; hostile files run nothing."""

from __future__ import annotations

import json
import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mvmodel.errors import InputError
from mvmodel.training.checkpoint_state import get_random_states, read_state, set_random_states, write_state
from mvmodel.training.loop import train
from mvmodel.training.optimizer import LoopConfig


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def _train(folder: Path, steps: int, **changes: Any) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Weights and losses of a run whose loss draws from every random number generator."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    losses: list[float] = []

    def loss(net: torch.nn.Module, batch: torch.Tensor, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        noise = random.random() + np.random.normal()  # noqa: NPY002
        value = (net(batch + torch.randn(2, 3)) - noise).square().mean()
        losses.append(float(value.detach()))
        if step + 1 == changes.get("stop_after"):
            raise KeyboardInterrupt
        return value, {}

    config = LoopConfig(steps=steps, batch=2, lr=1e-2, precision="no", checkpoint_every=3, ema=0.9, warmup=2)
    trained = train("net", model, lambda i: torch.full((2, 3), float(i)), loss, config, folder, report=lambda row: None)
    return trained.state_dict(), losses


def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(tmp_path: Path) -> None:
    weights, losses = _train(tmp_path / "unbroken", 9)
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "broken", 9, stop_after=8)
    resumed_weights, resumed_losses = _train(tmp_path / "broken", 9)
    assert resumed_losses == losses[6:]
    assert all(torch.equal(resumed_weights[name], weights[name]) for name in weights)


def test_no_file_of_a_checkpoint_is_a_pickle(tmp_path: Path) -> None:
    _train(tmp_path, 6)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {file.name for file in files} == {
        "state.safetensors",
        "complete",
        "config.json",
        "curve.jsonl",
        "metrics.jsonl",
    }
    for file in files:
        assert not zipfile.is_zipfile(file)
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError)):
            pickle.loads(file.read_bytes())


def test_states_are_read_as_they_were_written(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    state = {
        "numbers": [1, 0.1, float("inf"), -(2**70), True, None, "ü"],
        "tuple": (3, (1, 2), None),
        5: {"bf16": torch.ones(2, dtype=torch.bfloat16), "transposed": torch.arange(6).reshape(2, 3).T},
        "tied": [shared, shared[:2]],
        "empty": {},
    }
    write_state(tmp_path, state)
    read = read_state(tmp_path)
    assert read["numbers"] == state["numbers"] and read["tuple"] == state["tuple"] and read["empty"] == {}
    assert read[5]["bf16"].dtype == torch.bfloat16 and torch.equal(read[5]["transposed"], state[5]["transposed"])  # type: ignore[index]
    assert torch.equal(read["tied"][1], shared[:2])
    with pytest.raises(TypeError, match="cannot hold"):
        write_state(tmp_path, {"value": object()})


def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    write_state(tmp_path, get_random_states())
    numbers = [(random.random(), np.random.normal(), float(torch.rand(1))) for _ in range(3)]  # noqa: NPY002
    set_random_states(read_state(tmp_path))
    assert [(random.random(), np.random.normal(), float(torch.rand(1))) for _ in range(3)] == numbers  # noqa: NPY002


def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(tmp_path: Path) -> None:
    weights, losses = _train(tmp_path, 6)
    newest = tmp_path / "checkpoint-2" / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    again, resumed_losses = _train(tmp_path, 6)
    assert resumed_losses == losses[3:] and all(torch.equal(again[name], weights[name]) for name in weights)
    for slot in ("checkpoint", "checkpoint-2"):
        (tmp_path / slot / "state.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"the checkpoint .*state.safetensors cannot be read .* delete it"):
        _train(tmp_path, 6)


@pytest.mark.parametrize("kind", ["accelerate", "pickle", "torch", "npy", "unknown", "no_state", "half", "deep"])
def test_a_hostile_checkpoint_is_refused_and_runs_nothing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`accelerate`: the files of earlier versions, which were loaded with pickle."""
    monkeypatch.chdir(tmp_path)
    slot = tmp_path / "run" / "checkpoint"
    slot.mkdir(parents=True)
    (slot / "complete").write_text("3")
    file = slot / "state.safetensors"
    if kind == "accelerate":
        for name in ("random_states_0.pkl", "custom_checkpoint_0.pkl", "optimizer.bin", "scheduler.bin"):
            (slot / name).write_bytes(pickle.dumps(_Hostile()))
    elif kind == "pickle":
        file.write_bytes(pickle.dumps(_Hostile()))
    elif kind == "torch":
        torch.save({"state": _Hostile()}, file)
    elif kind == "npy":
        with file.open("wb") as target:
            np.save(target, np.array([_Hostile()]), allow_pickle=True)
    else:
        states = {
            "unknown": '{"reduce": ["os:mkdir", "executed"]}',
            "no_state": "null",
            "half": '{"dict": [["step", 2]]}',
            "deep": "[" * 100_000,
        }
        save_file({}, file, {"format": "mvmodel.checkpoint.1", "state": states[kind]})
    with pytest.raises(InputError, match="delete"):
        _train(tmp_path / "run", 6)
    assert not (tmp_path / "executed").exists()


def test_the_weights_in_a_checkpoint_can_be_looked_at_with_safetensors(tmp_path: Path) -> None:
    weights, _ = _train(tmp_path, 3)
    tensors = load_file(tmp_path / "checkpoint" / "state.safetensors")
    assert any(tensor.shape == weights["0.weight"].shape for tensor in tensors.values())
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 3
