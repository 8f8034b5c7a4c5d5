"""Chooses how much memory the models may take, along a ladder of plans for cards of 24, 16, 12 and 8 GB."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import get_args

import psutil
import torch
from safetensors import SafetensorError, safe_open

from mvmodel.config import Config
from mvmodel.errors import InputError, PackError
from mvmodel.packs.info import PackInfo
from mvmodel.packs.memory_config import MemoryLevel

GIB = 2**30
REFERENCE_UNET_BYTES = 1.719e9
"""Size of Stable Diffusion 1.5's UNet in half precision, for which the plans' needs were accounted."""
REFERENCE_PIXELS = 16 * 320 * 512
"""Frames times height times width for which the plans' needs were accounted."""
FREE_SHARE_OF_CARD = 0.85
"""Share of a card's memory that is free before a run: a desktop and the driver's context take some."""
FLOAT32_FACTOR = 2.3
"""What a CPU needs in proportion to a GPU: everything in float32, and 15 % for fragmentation and libraries."""
CPU_GROUP_FILES = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""Limit and use of memory in a container, in the second and first versions of control groups."""


class MemoryPlan(Config):
    """What is done to save memory. The later plans of `LADDER` do all that the earlier ones do."""

    level: MemoryLevel
    card_gb: int
    """The card that the plan is for, at the size of `REFERENCE_PIXELS`."""
    gradient_checkpointing: bool = False
    """Training recomputes activations in the backward pass."""
    offload: bool = False
    """The text encoder and the autoencoder are on the GPU only while they work; the ControlNet and the models that
    measure videos are unloaded before frames 2..n are generated."""
    vae_slicing: bool = False
    """The autoencoder encodes and decodes one frame at a time."""
    half_precision_unet: bool = False
    """Training keeps the frozen UNet in half precision."""
    vae_tiling: bool = False
    """The autoencoder decodes frames of more than 512 pixels in overlapping tiles, which changes them slightly."""
    weights_gb: float
    """Weights, gradients and optimizer state of training Stable Diffusion 1.5, in GiB, as accounted."""
    activations_gb: float
    """The peak of training at `REFERENCE_PIXELS` without `weights_gb`, in GiB, as accounted."""

    def estimate_gb(self, info: PackInfo, unet_bytes: int) -> float:
        """Peak memory of training in GiB on a GPU, with the pack's frames and size.

        unet_bytes: Size of the UNet's weights in half precision. Other weights are taken to grow with it, activations
        with its square root and with the pixels.
        """
        share = unet_bytes / REFERENCE_UNET_BYTES
        pixels = info.frames * info.size.height * info.size.width / REFERENCE_PIXELS
        return self.weights_gb * share + self.activations_gb * share**0.5 * pixels

    def required_gb(self, info: PackInfo, unet_bytes: int, device: str) -> float:
        """Free memory in GiB from which the plan is chosen: most of its card, in proportion to the pack's needs.

        On a CPU, the estimate with everything in float32 and a margin.
        """
        estimate = self.estimate_gb(info, unet_bytes)
        if not device.startswith("cuda"):
            return FLOAT32_FACTOR * estimate
        return FREE_SHARE_OF_CARD * self.card_gb * estimate / (self.weights_gb + self.activations_gb)


LADDER: tuple[MemoryPlan, ...] = (
    MemoryPlan(level="24gb", card_gb=24, weights_gb=3.9, activations_gb=11.6),
    MemoryPlan(level="16gb", card_gb=16, gradient_checkpointing=True, weights_gb=3.9, activations_gb=2.7),
    MemoryPlan(
        level="12gb",
        card_gb=12,
        gradient_checkpointing=True,
        offload=True,
        vae_slicing=True,
        weights_gb=3.5,
        activations_gb=2.7,
    ),
    MemoryPlan(
        level="8gb",
        card_gb=8,
        gradient_checkpointing=True,
        offload=True,
        vae_slicing=True,
        half_precision_unet=True,
        vae_tiling=True,
        weights_gb=1.9,
        activations_gb=2.7,
    ),
)
"""From most to least memory. `python -m benchmarks memory` accounts the numbers; results/memory.json has them."""


GENERATION_SWITCHES = ("offload", "vae_slicing", "vae_tiling")
TRAINING_SWITCHES = ("gradient_checkpointing", "half_precision_unet")
"""The fields of a plan that save memory in generation, and those that only training uses."""


def count_half_precision_bytes(folder: Path) -> int:
    """What the weights in a folder's safetensors files take in half precision; reads their headers only.

    Raises PackError if a file is damaged.
    """
    weights = 0
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as tensors:
                weights += sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise PackError(f"{file} is damaged or cut off ({error}); fetch or assemble the pack again") from error
    return 2 * weights


def measure_free_gb(device: str) -> float:
    """Memory in GiB that this process can still take on a device, counting what PyTorch has reserved and not used."""
    if device.startswith("cuda"):
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + unused) / GIB
    free = psutil.virtual_memory().available
    for limit_file, usage_file in CPU_GROUP_FILES:
        if limit_file.is_file() and limit_file.read_text().strip().isdigit() and usage_file.is_file():
            free = min(free, int(limit_file.read_text()) - int(usage_file.read_text()))
    return max(0.0, free / GIB)


def check_memory_level(level: str) -> None:
    """Raise InputError for what is neither a plan nor "auto"."""
    if level not in ("auto", *get_args(MemoryLevel)):
        raise InputError(f"memory {level!r} is not one of auto, {', '.join(get_args(MemoryLevel))}")


def choose_plan(level: str, info: PackInfo, unet_bytes: int, device: str) -> MemoryPlan:
    """The plan that `level` names; for "auto", the first on the ladder that fits into the free memory.

    Raises InputError if `level` is no plan; or, for "auto" on a CPU, if not even the last plan fits, because the
    operating system would kill the process without a word. A GPU reports that by itself.
    """
    check_memory_level(level)
    plans = {plan.level: plan for plan in LADDER}
    if level in plans:
        return plans[level]  # type: ignore[index]
    free = measure_free_gb(device)
    for plan in LADDER:
        if plan.required_gb(info, unet_bytes, device) <= free:
            return plan
    smallest = LADDER[-1]
    if not device.startswith("cuda"):
        raise InputError(
            f"the pack {info.name} needs about {smallest.required_gb(info, unet_bytes, device):.0f} GiB of memory at "
            f"{info.frames} frames of {info.size}, and {free:.1f} GiB are free; use a GPU, a smaller size or fewer "
            f"frames, or set memory to {smallest.level} to try it anyway"
        )
    return smallest


def next_plan(plan: MemoryPlan, training: bool = True) -> MemoryPlan | None:
    """The next plan on the ladder that saves more than `plan` does; None if there is none.

    training: Whether training has to get by with less, or else generation, for which some plans do the same.
    """
    switches = GENERATION_SWITCHES + TRAINING_SWITCHES * training
    return next(
        (
            below
            for below in LADDER[LADDER.index(plan) + 1 :]
            if any(getattr(below, name) != getattr(plan, name) for name in switches)
        ),
        None,
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU or the CPU has no memory left."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
