"""A bench on a random pack of small models, with clips of a bright square and requests for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.cache import Cache
from mvmodel.experiments.bench import Bench, Motion
from mvmodel.experiments.cells import Task

SIDE, FRAMES = 64, 4


def square(top: int = 20, step: int = 6) -> np.ndarray:
    """A 16-pixel square that travels to the right, bool (FRAMES, SIDE, SIDE)."""
    masks = np.zeros((FRAMES, SIDE, SIDE), bool)
    for index in range(FRAMES):
        masks[index, top : top + 16, 8 + step * index : 24 + step * index] = True
    return masks


@pytest.fixture
def task() -> Task:
    return Task("slide-1", "a horse gallops", square(), 3, ("horse",))


@pytest.fixture
def make_bench(small_pack, tmp_path: Path):
    """`make_bench(*motion names)`: benches that share one cache of cells."""

    def make(*names: str) -> Bench:
        motions = []
        for number, name in enumerate(names):
            masks = square(12 + 8 * number)
            frames = np.where(masks[..., None], np.uint8(220), np.uint8(40)).repeat(3, axis=-1)
            clips = [TrainingClip(f"{name}-clip", frames, masks, "a horse gallops")]
            tasks = [Task(f"{name}-{i}", "a horse gallops", np.roll(masks, i, 2), i, ("horse",)) for i in range(2)]
            motions.append(Motion(name, tasks, clips))
        training = TrainConfig(steps=1, init_from=None, precision="no")
        bench = Bench(small_pack, motions, Cache(tmp_path / "cells"), {}, GenerationConfig(steps=2), training)
        bench.tune("own", motions[0].clips, training)
        return bench

    return make
