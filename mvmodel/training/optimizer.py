"""How long and how fast the training loop trains: its configuration, learning rate and optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch

from mvmodel.errors import InputError


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to train."""

    steps: int
    """Optimizer steps."""
    batch: int
    """Images or clips per batch, for the training rate in the curve."""
    lr: float
    accumulation: int = 1
    """Batches of each process per optimizer step; their gradients are averaged."""
    warmup: int = 100
    final_lr: float = 0.05
    """Learning rate at the end, as a share of `lr`."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which the trained model ends with; 0 keeps the last weights."""
    optimizer: str = "adamw"
    """`adamw`, or `adamw8bit` of bitsandbytes."""
    precision: str = "bf16"
    """accelerate's mixed precision: `no`, `bf16` or `fp16`."""
    seed: int = 1
    checkpoint_every: int = 500
    sample_every: int = 2000
    log_every: int = 50
    minutes: float = 0.0
    """Time limit: training ends after so many minutes, with its learning rate at the end of its schedule, if it has not
    reached `steps` before. 0 is no limit. With a limit, the result depends on the speed of the machine."""
    validate_every: int = 0
    """Steps between validations besides those at the start and at the end; 0 is none."""
    patience: int = 0
    """Training stops after so many validations in a row without a new best, and ends with the best weights; 0 goes on
    to the end and keeps the last."""


def learning_rate(step: int, config: LoopConfig, seconds: float = 0.0) -> float:
    """Factor on `lr` at a step: linear warm-up, then half a cosine down to `final_lr`.

    seconds: how long the training has run. With a limit of `minutes`, the cosine follows the time where that is ahead
    of the steps.

    transformers' `get_cosine_with_min_lr_schedule_with_warmup` starts its warm-up at 0, which wastes the first step; no
    choice of its arguments gives these rates.
    """
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    if config.minutes:
        progress = max(progress, seconds / (60 * config.minutes))
    progress = min(1.0, progress)
    return config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimizer(groups: list[dict[str, Any]], config: LoopConfig) -> torch.optim.Optimizer:
    """AdamW over parameter groups. Raises InputError if bitsandbytes is asked for and cannot be used here."""
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    try:
        bitsandbytes = import_module("bitsandbytes.optim")  # an optional dependency
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"optimizer {config.optimizer} needs bitsandbytes, which cannot be imported here ({error}); install it "
            f'with `pip install "mvmodel[bnb]"`, or use adamw'
        ) from error
    optimizer: torch.optim.Optimizer = bitsandbytes.AdamW8bit(groups, lr=config.lr, weight_decay=config.weight_decay)
    return optimizer
