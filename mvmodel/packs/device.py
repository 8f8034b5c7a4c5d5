"""Resolves a pack's device and precision, once for everything that uses its models."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from mvmodel.errors import InputError

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float16", "bfloat16")
ModuleT = TypeVar("ModuleT", bound="torch.nn.Module")
_WITH_CHANNELS_LAST: WeakSet[torch.nn.Module] = WeakSet()


def resolve_device(device: str) -> str:
    """Returns cuda or cpu for "auto", and any other valid name unchanged.

    Imports PyTorch only if the kernel has a GPU driver or a GPU is named. Raises InputError if the name is not a
    device, or if it names a GPU and there is none.
    """
    if device == "auto" and not Path("/dev/nvidiactl").exists():
        return "cpu"
    if device == "cpu":
        return device
    if device != "auto" and not re.fullmatch(r"cuda(:\d+)?", device):
        raise InputError(f"device {device!r} is not one of auto, cpu, cuda, cuda:N")
    import torch  # here, because settings are read on machines without a GPU, where importing PyTorch is a waste

    available = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if available else "cpu"
    if not available:
        raise InputError(f"device {device!r} was asked for, but PyTorch finds no GPU; use device auto or cpu")
    return device


def resolve_dtype(dtype: str, device: str) -> str:
    """Returns float16 on a GPU and float32 on a CPU for "auto", and any other valid name unchanged.

    Raises InputError if the name is not in `DTYPES`.
    """
    if dtype == "auto":
        return "float16" if device.startswith("cuda") else "float32"
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} is not one of auto, {', '.join(DTYPES)}")
    return dtype


def count_threads(device: str) -> int | None:
    """Threads that PyTorch uses on a CPU; None for a GPU. Sums in another order round differently."""
    if device != "cpu":
        return None
    import torch

    return torch.get_num_threads()


def move_model(model: ModuleT, *target: Any) -> ModuleT:
    """Runs `model.to(*target)` without the warning that diffusers' models print for every cast."""
    import torch

    moved_model: ModuleT = torch.nn.Module.to(model, *target)
    return moved_model


def use_channels_last(*models: torch.nn.Module | None) -> None:
    """Lays weights out with channels last, in place: convolutions of a CPU then convert no pictures and are faster.

    Models that have that layout, and None, are left alone. State dicts stay contiguous, because safetensors writes
    nothing else.
    """
    import torch

    for model in models:
        if model is not None and model not in _WITH_CHANNELS_LAST:
            torch.nn.utils.convert_conv2d_weight_memory_format(model, torch.channels_last)
            model.register_state_dict_post_hook(_make_contiguous)
            _WITH_CHANNELS_LAST.add(model)


def _make_contiguous(
    module: torch.nn.Module, state: dict[str, torch.Tensor], prefix: str, local_metadata: dict[str, object]
) -> None:
    """A state dict's hook: `state`, which is changed in place, gets tensors in PyTorch's default layout."""
    for name, tensor in state.items():
        state[name] = tensor.contiguous()


def empty_gpu_cache(device: str) -> None:
    """Gives memory back that no tensor needs any more."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
