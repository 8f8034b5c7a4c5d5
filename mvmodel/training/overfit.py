"""A sanity check of training: overfitting one clip must succeed before a long run is worth its time."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvmodel.backends.backend import Backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.training.finetune import finetune

OVERFIT_CONFIG = TrainConfig(
    steps=60,
    lr=1e-3,
    mask_lr=5e-3,
    warmup=5,
    dropout=0.0,
    context_share=0.0,
    foreground_weight=0.0,
    flip=False,
    init_from=None,
)
"""High learning rates, no dropout and no start adapter, so that everything is learned in these steps."""
MIN_LOSS_FALL = 0.2
"""Share by which the loss has to fall. On the tiny pack it falls by 0.4."""


@dataclass(frozen=True)
class OverfitResult:
    """The clip's loss on fixed draws, before and after overfitting it."""

    clip: str
    steps: int
    before: float
    after: float

    @property
    def fall(self) -> float:
        """Share by which the loss fell; negative if it rose."""
        return 1 - self.after / self.before

    @property
    def passed(self) -> bool:
        return self.fall >= MIN_LOSS_FALL


def overfit(
    backend: Backend,
    clip: TrainingClip,
    config: TrainConfig = OVERFIT_CONFIG,
    report: Callable[[dict[str, Any]], None] | None = None,
    device: str | None = None,
) -> OverfitResult:
    """Train a fresh adapter on `clip` alone. The loss is measured on draws that training never sees."""
    with tempfile.TemporaryDirectory() as work_dir:
        adapter = finetune(backend, [clip], config, Path(work_dir), validation=[clip], report=report, device=device)
        record = json.loads((adapter / "train.json").read_text())
    return OverfitResult(clip.name, config.steps, record["validation_loss_before"], record["validation_loss_after"])
