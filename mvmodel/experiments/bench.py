"""What experiments work on: a pack, motions with requests and clips, and adapters; makes and judges one video."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mvmodel.backends.generation_config import GenerationConfig, switch_off_later_frame_options
from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.cache import Cache
from mvmodel.code_version import SAMPLING_MODULES, code_version
from mvmodel.errors import InputError
from mvmodel.experiments.cell_metrics import write_cell_metrics
from mvmodel.experiments.cell_video import sample_cell_video, sample_first_frame
from mvmodel.experiments.cells import Cell, Task, WorkCounts, hash_masks
from mvmodel.experiments.config import ExperimentConfig
from mvmodel.files import hash_value
from mvmodel.packs import Pack
from mvmodel.training.finetune import build_trainee, finetune
from mvmodel.video.frames import read_frames, write_frames

VIDEO_CODE = code_version("mvmodel.experiments.cell_video")
METRICS_CODE = code_version("mvmodel.experiments.cell_metrics")
TUNING_CODE = code_version("mvmodel.training.finetune", without=SAMPLING_MODULES)
MOTION_ADAPTER = "own"
"""The adapter that was tuned on the motion's own clips, with everything on."""
UNTUNED_ADAPTER = "untuned"


@dataclass(frozen=True)
class Motion:
    """A motion that is experimented on: what is asked for, and the clips that its adapter was tuned on."""

    name: str
    tasks: Sequence[Task]
    clips: Sequence[TrainingClip] = ()


@dataclass(frozen=True)
class CellResult:
    """A cell's result. per_frame: name -> float (frames,). embeddings: float32 (frames, size), rows of length 1."""

    cell: Cell
    metrics: dict[str, float]
    per_frame: dict[str, np.ndarray]
    embeddings: np.ndarray
    video: Path
    detections: Path

    def frames(self) -> np.ndarray:
        """uint8 (frames, height, width, 3)."""
        return read_frames(self.video)


class Bench:
    """Makes and judges videos, each once.

    adapters: name -> folder. `MOTION_ADAPTER` is the one that is evaluated. generation, training: base settings, of
    which each cell changes one. The options for later frames are off, because they would hide what else is changed.
    log: called with a line for every video and adapter that is computed.
    """

    def __init__(
        self,
        pack: Pack,
        motions: Sequence[Motion],
        cache: Cache,
        adapters: Mapping[str, Path],
        generation: GenerationConfig = GenerationConfig(),
        training: TrainConfig = TrainConfig(),
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.pack, self.motions, self.cache = pack, tuple(motions), cache
        self.backend = load_backend(pack)
        self.adapters = {name: Path(folder) for name, folder in adapters.items()}
        neutral = generation.model_copy(update=switch_off_later_frame_options())
        self.generation, self.training, self.log = neutral.for_pack(pack.info), training, log
        self.work = WorkCounts()

    @property
    def motion(self) -> Motion:
        """The one motion of a per-motion experiment."""
        return self.motions[0]

    def tasks(self, config: ExperimentConfig, motion: Motion | None = None) -> list[Task]:
        """The requests of a motion that an experiment of this size uses, every seed of them."""
        tasks = (motion or self.motion).tasks[: config.requests]
        if not tasks:
            raise InputError(f"there is no request for {(motion or self.motion).name}; give some in the request file")
        return [task.with_seed_offset(number) for number in range(config.seeds) for task in tasks]

    def generation_config(self, config: ExperimentConfig, **changes: Any) -> GenerationConfig:
        """The generation settings with `changes`, at the experiment's number of steps."""
        steps = config.denoising_steps
        step_settings = {"steps": steps, "first_frame_steps": steps} if steps else {}
        return GenerationConfig(**{**self.generation.model_dump(), **step_settings, **changes})

    def tune(self, name: str, clips: Sequence[TrainingClip], config: TrainConfig) -> str:
        """Tune an adapter, or find it; a killed tuning resumes. Returns `name`, now among the adapters."""
        recipe = hash_value(
            {
                "clips": [
                    [c.name, c.caption, hash_masks(c.masks), hash_value(c.frames.tobytes().hex())] for c in clips
                ],
                "config": config.model_dump(mode="json", exclude={"init_from"}),
                "start": self._start_hash(config.init_from),
                "pack": self.pack.hash,
                "code": TUNING_CODE,
            }
        )
        work_dir = self.cache.path_of("cell_adapters", recipe)
        new = not (work_dir / "adapter" / "train.json").exists()
        if new:
            self.log(f"tuning {name} on {len(clips)} clips, {config.steps} steps")
        began = time.perf_counter()
        self.adapters[name] = finetune(self.backend, clips, config, work_dir)
        if new:
            self.work.adapters_tuned += 1
            self.work.tuning_seconds += time.perf_counter() - began
        return name

    def _start_hash(self, init_from: str | None) -> str | None:
        """What training starts from, wherever it is stored."""
        return init_from if init_from in (None, "start") else self.backend.hash_adapter(Path(str(init_from)))

    def add_untuned_adapter(self, config: TrainConfig) -> str:
        """What tuning under `config` begins with: the pack's adapter, or one that changes nothing yet."""
        start = self.pack.start_adapter() if config.init_from == "start" else None

        def build(folder: Path) -> None:
            torch.manual_seed(config.seed)
            build_trainee(self.backend, config).save(folder, self.pack.info.frames)

        recipe = hash_value([config.model_dump(mode="json"), self.pack.hash, TUNING_CODE])
        self.adapters[UNTUNED_ADAPTER] = start or self.cache.get_or_build("cell_untuned", recipe, build)
        return UNTUNED_ADAPTER

    def measure(self, cell: Cell) -> CellResult:
        """Make the cell's video and judge it, or find what an earlier run left."""
        identity = {"pack": self.pack.hash, "adapter": self.backend.hash_adapter(self.adapters[cell.adapter])}
        video_recipe = cell.recipe(**identity, code=VIDEO_CODE)
        began, new = time.perf_counter(), not self.cache.path_of("cell_videos", video_recipe).exists()
        video = (
            self.cache.get_or_build(
                "cell_videos", video_recipe, lambda folder: self._generate(cell, folder, video_recipe)
            )
            / "video.npz"
        )
        metrics_recipe = hash_value({"video": video_recipe, "code": METRICS_CODE})
        scores = self.cache.get_or_build(
            "cell_scores",
            metrics_recipe,
            lambda folder: write_cell_metrics(cell, read_frames(video), self.pack, folder),
        )
        self.work.cells += 1
        self.work.videos_generated += new
        self.work.generation_seconds += time.perf_counter() - began
        with np.load(scores / "per_frame.npz", allow_pickle=False) as data:
            per_frame = {name: data[name] for name in data.files}
        embeddings = per_frame.pop("embeddings")
        metrics = json.loads((scores / "metrics.json").read_text())
        return CellResult(cell, metrics, per_frame, embeddings, video, scores / "detections.npz")

    def _generate(self, cell: Cell, folder: Path, recipe: str) -> None:
        self.log(", ".join(f"{name} {value}" for name, value in cell.factors.items()) + f": {cell.task.name}")
        work_dir = self.cache.path_of("cell_windows", recipe)
        adapter, first_frame = self.adapters[cell.adapter], self.first_frame(cell)
        write_frames(folder / "video.npz", sample_cell_video(self.backend, adapter, cell, first_frame, work_dir))
        shutil.rmtree(work_dir, ignore_errors=True)

    def first_frame(self, cell: Cell) -> np.ndarray:
        """Frame 1, uint8 (height, width, 3); the same picture for all cells that ask for the same."""
        how, mask, config = cell.first, cell.masks[0], cell.generation
        sampling_settings = config.model_dump(
            mode="json", include={"scheduler", "first_frame_steps", "first_frame_guidance"}
        )
        recipe = hash_value(
            {
                "prompt": how.prompt or cell.task.prompt,
                "seed": cell.task.seed,
                "mask": hash_masks(mask[None]),
                "how": how.model_dump(mode="json"),
                "config": {**sampling_settings, "control_scale": config.control_scale},
                "pack": self.pack.hash,
                "code": VIDEO_CODE,
            }
        )

        def build(folder: Path) -> None:
            Image.fromarray(sample_first_frame(self.backend, self.pack, cell)).save(folder / "first.png")

        picture = self.cache.get_or_build("cell_first_frames", recipe, build) / "first.png"
        return np.asarray(Image.open(picture).convert("RGB"))

    @cached_property
    def record(self) -> dict[str, str]:
        """What stands beside every metric: pack, scorer, weights and preprocessing."""
        return {"pack": self.pack.info.name, "pack_hash": self.pack.hash, **self.pack.scorer().record}
