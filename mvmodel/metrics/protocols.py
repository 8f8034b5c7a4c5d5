"""What the metrics need of models, whichever stand behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from mvmodel.segmentation.protocols import SegmenterProtocol
    from mvmodel.segmentation.u2net import U2NetSegmenter


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


class JudgeModels(Protocol):
    """The models that a judge needs, as a `Pack` has them."""

    def scorer(self) -> ScorerProtocol:
        """Compares frames and text."""
        ...

    def segmenter(self) -> SegmenterProtocol:
        """Finds the object."""
        ...

    def independent_segmenter(self) -> U2NetSegmenter | None:
        """Finds the object once more, for `iou_independent`; None if it is not on this machine."""
        ...
