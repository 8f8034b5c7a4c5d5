"""Whether a denoising pass waits for the GPU or for the host that starts its kernels.

A pass whose host takes as long as the whole pass keeps the GPU waiting: its time is then the processor's, and other
work on the machine's cores makes it longer.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_workload import Workload, wait_for_device
from benchmarks.measurements import Figures
from benchmarks.variants import make_call
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.packs.device import move_model

PASSES = (("image", 0), ("ours", 0), ("ours", -1), ("remembered", 0), ("remembered", 1))
"""Variants of `benchmarks.variants`, and how many frames more they have than others. `remembered` has one row less than
frames, so both numbers of rows are measured of `ours` and of `remembered`."""
SYNCHRONIZATIONS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
KERNELS_SHOWN = 3


def measure_launches(size: Workload) -> dict[str, Figures]:
    """Each pass on an idle machine, then beside one busy process for every processor.

    Returns pass -> rows, seconds, host_seconds (until the host has started all), the seconds of the GPU's kernels and
    their number, how often the host waited, the longest kernels; and the same seconds with busy processors.
    """
    pack = size.load_pack()
    torch.manual_seed(0)
    unet = pack.unet()
    adapter = move_model(MotionMaskAdapter.for_unet(unet), pack.device, unet.dtype).eval()
    side = (size.height // pack.latent_factor, size.width // pack.latent_factor)
    calls, rows = {}, {}
    for name, more in PASSES:
        frames = size.frames + more
        rows[f"{name}, {frames} frames"] = frames - (name == "remembered")
        calls[f"{name}, {frames} frames"] = make_call(name, unet, adapter, frames, side)
    idle = time_by_turns(calls, pack.device, size.repeats * 3)
    with busy_processes(os.cpu_count() or 1):
        busy = time_by_turns(calls, pack.device, size.repeats)
    return {
        name: {
            "rows": rows[name],
            **idle[name],
            **profile_kernels(run, pack.device),
            **{f"{key}_with_busy_processors": value for key, value in busy[name].items()},
        }
        for name, run in calls.items()
    }


def time_by_turns(calls: dict[str, Callable[[], Any]], device: str, rounds: int) -> dict[str, Figures]:
    """Median seconds of each call, and of its part until the host has started everything, after two rounds to warm up.

    The calls take turns, so that what else the machine does meets all of them.
    """
    whole: dict[str, list[float]] = {name: [] for name in calls}
    host: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 2):
        for name, run in calls.items():
            wait_for_device(device)
            began = time.perf_counter()
            run()
            started = time.perf_counter()
            wait_for_device(device)
            if number > 1:
                whole[name].append(time.perf_counter() - began)
                host[name].append(started - began)
    return {
        name: {"seconds": statistics.median(whole[name]), "host_seconds": statistics.median(host[name])}
        for name in calls
    }


def profile_kernels(run: Callable[[], Any], device: str) -> Figures:
    """Seconds and number of the GPU's kernels in one call, how often the host waited for it, and the longest kernels.

    Empty on a CPU.
    """
    if device == "cpu":
        return {}
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        run()
        torch.cuda.synchronize()
    averages = profiler.key_averages()
    kernels = [event for event in averages if event.device_type == torch.autograd.DeviceType.CUDA]
    kernels.sort(key=lambda event: event.self_device_time_total, reverse=True)
    waits = sum(event.count for event in averages if event.key in SYNCHRONIZATIONS)
    return {
        "kernel_seconds": sum(event.self_device_time_total for event in kernels) / 1e6,
        "kernels": sum(event.count for event in kernels),
        "synchronizations": waits - 1,  # one is ours
        "longest_kernels": {event.key[:80]: event.self_device_time_total / 1e6 for event in kernels[:KERNELS_SHOWN]},
    }


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that compute without a pause inside the block."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(1)  # until they have started
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
