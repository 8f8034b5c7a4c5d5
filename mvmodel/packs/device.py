"""Where a pack's models live and in which precision, decided once for everything that uses them."""

from __future__ import annotations

from pathlib import Path


def device_of(named: str) -> str:
    """ "auto" as cuda or cpu. PyTorch is only asked, and so imported, where the kernel has a GPU's driver."""
    if named != "auto":
        return named
    if not Path("/dev/nvidiactl").exists():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def dtype_of(named: str, device: str) -> str:
    """ "auto" as float16 on a GPU, as Stable Diffusion is commonly run there, and float32 on a CPU."""
    if named != "auto":
        return named
    return "float16" if device.startswith("cuda") else "float32"
