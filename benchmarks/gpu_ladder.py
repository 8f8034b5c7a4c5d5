"""The memory plans on a real card: whether each fits the card that it is named after, and what it costs in time.

PyTorch may reserve no more than the share of such a card that is free before a run; what asks for more fails, as it
would there.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from contextlib import redirect_stderr
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.gpu_workload import (
    PROMPT,
    Workload,
    limit_memory,
    measure_or_report,
    read_peak,
    reset_peak,
    time_once,
    wait_for_device,
)
from benchmarks.measurements import Figures
from mvmodel.backends.backend import Backend
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.packs import Pack
from mvmodel.packs.memory import FREE_SHARE_OF_CARD, LADDER, MemoryPlan, next_plan
from mvmodel.training.finetune import finetune

TRAINING_STEPS = 5
"""Steps of each training; the first two are not timed."""
VIDEO_LIMIT_GIB = 4.4
"""Between what a video needs at its peak with the plans 24gb (5.6) and 12gb (3.4), as measured on a card."""


def measure_rung(size: Workload, level: str, dtype: str, precision: str) -> Figures:
    """One memory plan within its card's free memory: peaks of training and of a video, and their seconds.

    dtype: of the pack's weights. precision: of training's autocast. A part that does not fit is said under its name.
    """
    pack = size.load_pack(dtype, level)
    backend = load_backend(pack)
    limit = FREE_SHARE_OF_CARD * pack.memory.card_gb
    figures: Figures = {"limit_gib": limit, "dtype": pack.dtype, "precision": precision}
    with limit_memory(pack.device, limit), tempfile.TemporaryDirectory() as folder:
        reset_peak(pack.device)
        training = measure_or_report(lambda: _train(backend, size, precision, Path(folder)))
        figures["training"] = {**training, **read_peak(pack.device, "peak")}
        reset_peak(pack.device)
        video = measure_or_report(lambda: _generate(backend, size, Path(folder) / "adapter"))
        figures["video"] = {**video, **read_peak(pack.device, "peak")}
    return figures


def measure_step_down(size: Workload) -> Figures:
    """Training with `memory: auto` on a card that has less memory than it says: what was tried, and what was said.

    The limit is between the accounted needs of the chosen plan and of the one below it.
    """
    pack = size.load_pack(memory="auto")
    backend, chosen = load_backend(pack), pack.memory
    below = next_plan(chosen) or LADDER[-1]
    limit = (chosen.weights_gb + chosen.activations_gb + below.weights_gb + below.activations_gb) / 2
    message = io.StringIO()
    with limit_memory(pack.device, limit), tempfile.TemporaryDirectory() as folder, redirect_stderr(message):
        reset_peak(pack.device)
        training = measure_or_report(lambda: _train(backend, size, "auto", Path(folder)))
    return _describe_step_down(pack, chosen, limit, message, training)


def measure_video_step_down(size: Workload) -> Figures:
    """The same of a video, within less than the chosen plan needs: `VIDEO_LIMIT_GIB` at the size of the ladder."""
    pack = size.load_pack(memory="auto")
    backend, chosen, message = load_backend(pack), pack.memory, io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "adapter"
        MotionMaskAdapter.for_unet(pack.unet(), patch=pack.latent_factor).save_pretrained(adapter)
        with limit_memory(pack.device, VIDEO_LIMIT_GIB), redirect_stderr(message):
            reset_peak(pack.device)
            video = measure_or_report(lambda: _generate(backend, size, adapter))
    return _describe_step_down(pack, chosen, VIDEO_LIMIT_GIB, message, video)


def _describe_step_down(
    pack: Pack, chosen: MemoryPlan, limit: float, message: io.StringIO, figures: Figures
) -> Figures:
    said = [line for line in message.getvalue().splitlines() if "memory ran out" in line]
    peak = read_peak(pack.device, "peak")
    return {"limit_gib": limit, "chosen": chosen.level, "used": pack.memory.level, "said": said, **figures, **peak}


def _train(backend: Backend, size: Workload, precision: str, folder: Path) -> Figures:
    """Seconds of an optimizer step on one clip, and of the whole training of `TRAINING_STEPS` steps."""
    config = TrainConfig(steps=TRAINING_STEPS, init_from=None, flip=False, warmup=0, precision=precision)
    ends: list[float] = []

    def record(row: dict[str, Any]) -> None:
        if "loss" in row:
            wait_for_device(backend.device)
            ends.append(time.perf_counter())

    seconds = time_once(
        lambda: finetune(backend, [size.build_noise_clip()], config, folder, report=record), backend.device
    )
    steps = [after - before for before, after in pairwise(ends)]
    return {"seconds_a_step": statistics.median(steps[1:] or steps), "seconds": seconds}


def _generate(backend: Backend, size: Workload, adapter: Path) -> Figures:
    """Seconds of a first frame by the ControlNet, and of the other frames with their decoding, each after a warm-up."""
    clip = size.build_noise_clip()
    config = GenerationConfig(steps=size.steps, first_frame_steps=size.steps)
    short = GenerationConfig(steps=2, first_frame_steps=2)

    def generate_first(config: GenerationConfig) -> Any:
        return backend.first_frames([PROMPT], clip.masks[:1], [0], config)[0]

    def generate_video(config: GenerationConfig) -> Any:
        return backend.sample(adapter, PROMPT, clip.masks, clip.frames[0], config, 0)

    generate_first(short)
    first_seconds = time_once(lambda: generate_first(config), backend.device)
    generate_video(short)
    video_seconds = time_once(lambda: generate_video(config), backend.device)
    return {"seconds_first_frame": first_seconds, "seconds": video_seconds, "steps": size.steps}
