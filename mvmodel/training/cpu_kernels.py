"""Kernels that make training on a CPU several times faster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def math_attention(device: str = "cpu") -> Iterator[None]:
    """Plain batched attention on a CPU, where the fused kernel's backward pass is slower in bf16."""
    if device != "cpu":
        yield
    else:
        with sdpa_kernel(SDPBackend.MATH):
            yield


def use_float32_group_norm() -> None:
    """Run group normalisation in float32 in bf16 training on a CPU, from now on in this process.

    torch's bf16 channels-last backward of group_norm is about five times slower than the float32 one plus both casts.
    """
    if getattr(F.group_norm, "in_float32", False):
        return
    original = F.group_norm

    def group_norm(
        x: torch.Tensor, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
    ) -> torch.Tensor:
        if x.device.type != "cpu" or x.dtype != torch.bfloat16:
            return original(x, groups, weight, bias, eps)
        with torch.autocast("cpu", enabled=False):
            return original(x.float(), groups, weight, bias, eps).to(x.dtype)

    group_norm.in_float32 = True  # type: ignore[attr-defined]
    F.group_norm = group_norm  # type: ignore[assignment]
