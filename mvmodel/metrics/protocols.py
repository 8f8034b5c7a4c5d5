"""What the metrics need of a scorer, whichever model stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class ScorerProtocol(Protocol):
    """A source of image and text embeddings. `mvmodel.metrics.scorer.Scorer` is the one that packs build."""

    @property
    def words(self) -> Sequence[str]:
        """The object words that the scorer can tell apart; the default distractors of the judge."""
        ...

    @property
    def record(self) -> dict[str, Any]:
        """Identifies the scorer beside every metric: model name, hash of the weights, preprocessing."""
        ...

    def images(self, frames: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (frames, size), rows of length 1. frames: uint8 RGB (frames, height, width, 3)."""
        ...

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings, float32 (texts, size), rows of length 1."""
        ...
