"""Does training learn at all? Overfitting one clip must succeed before anything else is worth a long run."""

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
    steps=60, lr=1e-3, mask_lr=5e-3, warmup=5, dropout=0.0, foreground_weight=0.0, flip=False, init_from=None
)
"""A high learning rate, nothing dropped, no start adapter: what is learned is learned here."""
MIN_LOSS_FALL = 0.2
"""Share by which the loss has to fall; on the tiny pack it falls by 0.4."""


@dataclass(frozen=True)
class OverfitResult:
    """The clip's loss on fixed draws, before and after overfitting it."""

    clip: str
    steps: int
    before: float
    after: float

    @property
    def fall(self) -> float:
        """Share of the loss that is gone; negative when it rose."""
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
    """Train a fresh adapter on `clip` alone and measure its loss before and after, on draws that training never saw."""
    with tempfile.TemporaryDirectory() as work:
        out = finetune(backend, [clip], config, Path(work), validation=[clip], report=report, device=device)
        facts = json.loads((out / "train.json").read_text())
    return OverfitResult(clip.name, config.steps, facts["validation_loss_before"], facts["validation_loss_after"])
