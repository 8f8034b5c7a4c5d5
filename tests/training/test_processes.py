"""Training in several processes: as one process with more accumulation, and one goes on where several stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.training.finetune import finetune, training_recipe
from mvmodel.training.loop import train
from mvmodel.training.optimizer import LoopConfig

STEPS, STOP = 6, 5
CONFIG = TrainConfig(
    steps=STEPS, warmup=1, init_from=None, checkpoint_every=2, mask_width=4, precision="no", lr=1e-3, flip=False
)
SCRIPT = """
import sys
from pathlib import Path
from tests.training.test_processes import CONFIG, STOP, make_clips
from mvmodel.backends.load import load_backend
from mvmodel.packs import load_pack
from mvmodel.training.finetune import finetune

def stop(row):
    if row["step"] == STOP:
        raise RuntimeError("stopped by the test")

finetune(load_backend(load_pack(sys.argv[1], device="cpu")), make_clips(), CONFIG, Path(sys.argv[2]), report=stop)
"""


def make_clips() -> list[TrainingClip]:
    rng = np.random.default_rng(0)
    return [
        TrainingClip(
            f"clip-{i}",
            rng.integers(0, 255, (4, 64, 64, 3), dtype=np.uint8),
            rng.random((4, 64, 64)) > 0.7,
            "a horse runs",
        )
        for i in range(2)
    ]


def read_losses(file: Path) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in map(json.loads, file.read_text().splitlines())}


def test_accumulated_gradients_are_those_of_a_larger_batch(tmp_path: Path) -> None:
    data = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(0))
    weights = []
    for accumulation in (1, 2):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)
        config = LoopConfig(steps=4, batch=1, lr=1e-2, precision="no", accumulation=accumulation, warmup=0)
        batches = (
            [data.flatten(0, 1)[2 * i : 2 * i + 2] for i in range(8)] if accumulation == 2 else data.reshape(4, 4, 3)
        )
        train(
            "line",
            model,
            batches.__getitem__,
            lambda net, batch, step: (net(batch).square().mean(), {}),
            config,
            tmp_path / str(accumulation),
            report=lambda row: None,
        )
        weights.append(model.weight.detach().clone())
    assert torch.allclose(*weights, atol=1e-6)


def test_only_the_product_of_processes_and_accumulation_counts(small_pack) -> None:
    backend, clips = load_backend(small_pack), make_clips()
    twice = CONFIG.model_copy(update={"gradient_accumulation_steps": 2})
    assert training_recipe(backend, clips, CONFIG, processes=2) == training_recipe(backend, clips, twice)
    assert training_recipe(backend, clips, CONFIG) != training_recipe(backend, clips, twice)


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_and_one_goes_on(small_pack, tmp_path: Path, repository: Path) -> None:
    backend = load_backend(small_pack)
    twice = CONFIG.model_copy(update={"gradient_accumulation_steps": 2})
    alone = finetune(backend, make_clips(), twice, tmp_path / "alone", report=lambda row: None)
    launched = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"),
            *("--no-python", sys.executable, "-c", SCRIPT, str(small_pack.folder), str(tmp_path / "pair")),
        ],
        cwd=repository,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert launched.returncode and "stopped by the test" in launched.stderr, launched.stderr[-3000:]
    losses = read_losses(tmp_path / "pair" / "work" / "curve.jsonl")
    expected = read_losses(alone / "curve.jsonl")
    assert list(losses) == list(range(1, STOP + 1)), "one process writes the curve"
    assert [losses[step] for step in losses] == pytest.approx([expected[step] for step in losses], rel=1e-3)
    assert expected[1] != pytest.approx(expected[2], rel=1e-3)
    assert not (tmp_path / "pair" / "adapter").exists()
    resumed: list[int] = []
    pair = finetune(backend, make_clips(), twice, tmp_path / "pair", report=lambda row: resumed.append(row["step"]))
    assert resumed == [STOP, STEPS]
    name = "diffusion_pytorch_model.safetensors"
    for key, weight in load_file(alone / name).items():
        assert torch.allclose(load_file(pair / name)[key], weight, atol=1e-4), key
