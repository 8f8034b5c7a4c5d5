"""Single parts of the method on a GPU: a matrix product, training steps, denoising passes, and videos beside peers'."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.flops import count_flops
from benchmarks.gpu_workload import (
    PROMPT,
    Workload,
    measure_megabytes,
    measure_or_report,
    time_median,
    wait_for_device,
)
from benchmarks.measurements import Figures
from benchmarks.variants import make_call
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.packs import Pack
from mvmodel.packs.device import move_model
from mvmodel.training.finetune import finetune


def measure_matmul(size: Workload) -> Figures:
    """TFLOP/s of a square matrix product in the pack's number type: what the card reaches, not what its maker says."""
    pack = size.load_pack()
    one = torch.randn(size.matrix, size.matrix, device=pack.device, dtype=getattr(torch, pack.dtype))
    seconds = time_median(lambda: one @ one, pack.device, size.repeats)
    return {"tflops": 2 * size.matrix**3 / seconds / 1e12, "dtype": pack.dtype}


def measure_tuning(size: Workload, checkpointing: bool) -> Figures:
    """Seconds of an optimizer step, one clip each, and peak memory: of the steps, and of the run with its encoding."""
    pack = size.load_pack()
    config = TrainConfig(steps=size.repeats + 3, init_from=None, flip=False, gradient_checkpointing=checkpointing)
    ends: list[float] = []
    encoding: list[float] = []

    def record(row: dict[str, Any]) -> None:
        if "loss" in row:
            wait_for_device(pack.device)
            if not ends and pack.device != "cpu":  # the first step has claimed the optimizer's memory
                encoding.append(torch.cuda.max_memory_allocated() / 1e6)
                torch.cuda.reset_peak_memory_stats()
            ends.append(time.perf_counter())

    def run() -> None:
        with tempfile.TemporaryDirectory() as work_dir:
            finetune(load_backend(pack), [size.build_noise_clip()], config, Path(work_dir), report=record)

    def measure() -> Figures:
        peak = measure_megabytes(run, pack.device)
        seconds = statistics.median(after - before for before, after in pairwise(ends[1:]))
        return {"seconds_a_step": seconds, "peak_megabytes": peak, "run_peak_megabytes": max([*encoding, peak])}

    return measure_or_report(measure)


def measure_denoising(size: Workload, name: str, compiled: bool) -> Figures:
    """Seconds and TFLOP of one pass over the frames under a variant of `benchmarks.variants`, and peak memory.

    With `compiled`, also the seconds of the first call, most of which is compilation.
    """
    pack = size.load_pack()
    torch.manual_seed(0)
    unet = pack.unet()
    adapter = move_model(MotionMaskAdapter.for_unet(unet), pack.device, unet.dtype).eval()
    side = (size.height // pack.latent_factor, size.width // pack.latent_factor)
    run = make_call(name, unet, adapter, size.frames, side)

    def measure() -> Figures:
        tflop = count_flops(run) / 1e12
        first_call: Figures = {}
        if compiled:
            unet.compile()
            began = time.perf_counter()
            run()
            wait_for_device(pack.device)
            first_call = {"first_call_seconds": time.perf_counter() - began}
        seconds = time_median(run, pack.device, size.repeats)
        generated_frames = size.frames - (name == "remembered")  # frame 1 is not made again
        return {
            "seconds": seconds,
            "milliseconds_a_frame": 1000 * seconds / generated_frames,
            "tflop": tflop,
            "peak_megabytes": measure_megabytes(run, pack.device),
            **first_call,
        }

    return measure_or_report(measure)


def measure_video(size: Workload, method: str) -> Figures:
    """Seconds a frame of a whole video, its decoding included, and peak memory."""

    def measure() -> Figures:
        pack = size.load_pack()
        run = build_video_call(pack, size, method)
        seconds = time_median(run, pack.device, repeats=1)
        return {"seconds_a_frame": seconds / size.frames, "peak_megabytes": measure_megabytes(run, pack.device)}

    return measure_or_report(measure)


def build_video_call(pack: Pack, size: Workload, method: str) -> Callable[[], object]:
    """A function that makes one video by ours, AnimateDiff or Text2Video-Zero."""
    from diffusers import AnimateDiffPipeline, TextToVideoZeroPipeline  # slow to import

    from benchmarks.peer_methods import build_motion_modules, hide_progress_bar, load_parts

    torch.manual_seed(0)
    sampling = {"num_inference_steps": size.steps, "guidance_scale": 7.5}
    shape = {"height": size.height, "width": size.width}
    if method == "ours":
        clip = size.build_noise_clip()
        pipeline = build_pipeline(pack, None, GenerationConfig())
        pipeline.load_adapter(MotionMaskAdapter.for_unet(pack.unet()), "random")
        return lambda: pipeline(PROMPT, clip.masks, np.array(clip.frames[0]), **sampling)
    if method == "AnimateDiff":
        shared = {name: getattr(pack, name)() for name in ("vae", "text_encoder", "tokenizer", "scheduler")}
        modules = move_model(build_motion_modules(pack.unet(), heads=8), pack.unet().dtype)
        moving = hide_progress_bar(
            AnimateDiffPipeline(unet=pack.unet(), motion_adapter=modules, **shared).to(pack.device)
        )
        return lambda: moving(PROMPT, num_frames=size.frames, **shape, **sampling)
    zero = hide_progress_bar(TextToVideoZeroPipeline(**load_parts(pack, "unet")).to(pack.device))
    late = size.steps - 2  # when it moves the noise costs next to nothing
    return lambda: zero(PROMPT, video_length=size.frames, t0=late, t1=late + 1, **shape, **sampling)
