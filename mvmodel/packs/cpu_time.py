"""Says before a long run on a CPU how long its slow stages will take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from mvmodel.packs.info import PackInfo, has_large_unet
from mvmodel.packs.memory import REFERENCE_PIXELS, REFERENCE_UNET_BYTES, count_half_precision_bytes
from mvmodel.progress import format_seconds

TRAINING_TFLOP, DENOISING_TFLOP, FIRST_FRAME_TFLOP = 7.53, 7.05, 0.49
"""Operations of Stable Diffusion 1.5's UNet at `REFERENCE_PIXELS`, in 10^12: one forward pass of training, one of
denoising frames 2 to n, and frame 1's. `python -m benchmarks flops` counts them."""
TRAINING_PASSES = 4
"""A training step takes four forward passes' time: forward, backward (two), and forward again in checkpointing."""
GUIDANCE_BRANCHES = 2
SEGMENTER_TFLOP = {"vit_b": 1.20, "vit_l": 3.22, "vit_h": 6.19}
"""Operations of a segment-anything model for one frame, encoder and automatic masks, in 10^12, counted by torch."""
REACHED_SHARE = 0.5
"""Share of a large matrix product's throughput that whole models are assumed to reach."""
_PROBE_SIDE = 1024
_PROBE_RUNS = 3


@dataclass(frozen=True)
class SlowStages:
    """Estimated seconds on a CPU: a training step, a video's frames 2 to n in a number of steps, and a frame judged by
    the segmenter; the last is 0 for segmenters of unknown cost."""

    training_step: float
    video: float
    judged_frame: float


def measure_throughput() -> float:
    """Operations a second, in 10^12, of a float32 matrix product on this CPU if nothing else runs on it.

    By processor time, since the clock of a busy machine says more about the other programs. Takes 0.1 s when idle.
    """
    matrix = torch.ones(_PROBE_SIDE, _PROBE_SIDE)
    seconds = []
    for _ in range(_PROBE_RUNS):  # the first starts the threads
        began = time.process_time()
        torch.mm(matrix, matrix)
        seconds.append(time.process_time() - began)
    return torch.get_num_threads() * 2 * _PROBE_SIDE**3 / min(seconds) / 1e12


def estimate_slow_stages(info: PackInfo, unet_bytes: int, steps: int, throughput: float) -> SlowStages:
    """Seconds by counted operations.

    Args:
        info: The pack, with the size of the run.
        unet_bytes: Size of the UNet's weights in half precision.
        steps: Denoising steps of a video.
        throughput: What `measure_throughput` returned.
    """
    pixels = info.frames * info.size.height * info.size.width / REFERENCE_PIXELS
    share, speed = unet_bytes / REFERENCE_UNET_BYTES * pixels, throughput * REACHED_SHARE
    return SlowStages(
        training_step=TRAINING_PASSES * TRAINING_TFLOP * share / speed,
        video=GUIDANCE_BRANCHES * (FIRST_FRAME_TFLOP + steps * DENOISING_TFLOP) * share / speed,
        judged_frame=SEGMENTER_TFLOP.get(info.segmenter.type, 0.0) / speed,
    )


def describe_slow_stages(
    folder: Path,
    info: PackInfo,
    device: str,
    *,
    training_steps: int | None = None,
    denoising_steps: int | None = None,
    judge: bool = False,
) -> str:
    """A sentence with an estimate for the stages of a run on a CPU; "" on a GPU and for small models.

    folder: the pack's. info: its `pack.json`, with the size of the run. training_steps: None leaves training out.
    denoising_steps: None leaves videos out. judge: whether videos are measured.

    Raises PackError if the UNet's files are damaged.
    """
    if device.startswith("cuda") or not has_large_unet(folder):
        return ""
    throughput = measure_throughput()
    stages = estimate_slow_stages(info, count_half_precision_bytes(folder / "unet"), denoising_steps or 1, throughput)
    parts = []
    if training_steps is not None:
        step = stages.training_step
        total = f" ({format_seconds(training_steps * step)} for {training_steps} steps)" if training_steps > 1 else ""
        parts.append(f"{format_seconds(step)} for a training step{total}")
    if denoising_steps is not None:
        parts.append(f"{format_seconds(stages.video)} for a video in {denoising_steps} denoising steps")
    if judge and stages.judged_frame:
        parts.append(f"{format_seconds(stages.judged_frame)} for each frame in which the judge looks for the object")
    speed = f"{REACHED_SHARE:.0%} of the {1000 * throughput:.0f} GFLOP/s of a matrix product measured just now"
    return (
        f"{info.name} on this CPU takes about {', '.join(parts)}; this is an estimate by counted operations, at "
        f"{speed}, if nothing else runs; a GPU takes seconds"
    )
