"""What the measurements on a GPU share: the size of the work, the models, how time and memory are read."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.measurements import Figures, measure_peak_memory
from mvmodel.backends.training_config import TrainingClip
from mvmodel.packs import load_pack

if TYPE_CHECKING:
    from mvmodel.packs import Pack

GIB = 2**30
PROMPT = "a horse gallops in the snow"


@dataclass(frozen=True)
class Workload:
    """Models and sizes of every measurement."""

    pack: str
    device: str = "auto"
    frames: int = 16
    height: int = 320
    width: int = 512
    steps: int = 20
    repeats: int = 5
    matrix: int = 8192

    def load_pack(self, dtype: str = "auto", memory: str = "24gb") -> Pack:
        """The pack's models, loaded anew; the memory plan is named, not chosen, unless it is `auto`."""
        gc.collect()
        pack = load_pack(self.pack, self.device, dtype, memory=memory)
        if pack.device != "cpu":
            torch.cuda.empty_cache()
        return pack

    def build_noise_clip(self) -> TrainingClip:
        """A clip of noise with a moving box for its mask."""
        shape = (self.frames, self.height, self.width)
        frames = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        masks = np.zeros(shape, bool)
        for number, mask in enumerate(masks):
            left = number * (self.width // 2) // self.frames
            mask[self.height // 4 : self.height // 2, left : left + self.width // 2] = True
        return TrainingClip("noise", frames, masks, PROMPT)


def wait_for_device(device: str) -> None:
    """Return when a GPU has finished what it was given."""
    if device != "cpu":
        torch.cuda.synchronize()


def time_median(run: Callable[[], object], device: str, repeats: int) -> float:
    """The median seconds of several runs after two to warm up, the device's work included."""
    seconds = []
    for number in range(repeats + 2):
        began = time.perf_counter()
        run()
        wait_for_device(device)
        if number > 1:
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def time_once(run: Callable[[], object], device: str) -> float:
    """The seconds of one run, the device's work included."""
    wait_for_device(device)
    began = time.perf_counter()
    run()
    wait_for_device(device)
    return time.perf_counter() - began


def measure_megabytes(run: Callable[[], object], device: str) -> float:
    """Peak memory of a run, its models included, on a GPU; on a CPU what the process grows by."""
    if device == "cpu":
        return measure_peak_memory(run)
    torch.cuda.reset_peak_memory_stats()
    run()
    wait_for_device(device)
    return float(torch.cuda.max_memory_allocated() / 1e6)


def reset_peak(device: str) -> None:
    """Begin a new measurement for `read_peak`."""
    if device != "cpu":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def read_peak(device: str, name: str) -> Figures:
    """The highest memory in GiB since `reset_peak`: of tensors, and as reserved by PyTorch. Empty on a CPU."""
    if device == "cpu":
        return {}
    return {
        f"{name}_allocated_gib": torch.cuda.max_memory_allocated() / GIB,
        f"{name}_reserved_gib": torch.cuda.max_memory_reserved() / GIB,
    }


@contextmanager
def limit_memory(device: str, gib: float) -> Iterator[None]:
    """Let PyTorch reserve so much memory of the GPU inside the block, as on a smaller card; a CPU has no limit."""
    if device == "cpu":
        yield
        return
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, gib * GIB / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def measure_or_report(measure: Callable[[], Figures]) -> Figures:
    """The figures, or why there are none."""
    try:
        return measure()
    except Exception as error:  # out of memory and the compiler's errors are of many kinds
        message = " ".join(str(error).split("\n\n")[0].split())
        return {"failed": f"{type(error).__name__}: {message[:300]}"}
