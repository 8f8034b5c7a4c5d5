"""Where a pack's models live and in which precision, decided once for everything that uses them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError

DTYPES = ("float32", "float16", "bfloat16")


def device_of(named: str) -> str:
    """ "auto" as cuda or cpu; other names as they are.

    PyTorch is only asked, and so imported, where the kernel has a GPU's driver or a GPU is named. Raises InputError for
    a name that is none, and for a GPU where there is none.
    """
    if named == "auto" and not Path("/dev/nvidiactl").exists():
        return "cpu"
    if named == "cpu":
        return named
    if named != "auto" and not re.fullmatch(r"cuda(:\d+)?", named):
        raise InputError(f"device {named!r} is not one of auto, cpu, cuda, cuda:N")
    import torch

    found = torch.cuda.is_available()
    if named == "auto":
        return "cuda" if found else "cpu"
    if not found:
        raise InputError(f"device {named!r} was asked for, but PyTorch finds no GPU; use device auto or cpu")
    return named


def dtype_of(named: str, device: str) -> str:
    """ "auto" as float16 on a GPU, as Stable Diffusion is commonly run there, and float32 on a CPU.

    Raises InputError for a name that is none of `DTYPES`.
    """
    if named == "auto":
        return "float16" if device.startswith("cuda") else "float32"
    if named not in DTYPES:
        raise InputError(f"dtype {named!r} is not one of auto, {', '.join(DTYPES)}")
    return named


def cast(model: Any, *where: Any) -> Any:
    """`model.to(*where)` without the warning that diffusers' models give of every cast."""
    import torch

    return torch.nn.Module.to(model, *where)
