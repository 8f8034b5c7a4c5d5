"""What the rest of the library needs of a segmenter, whichever model stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class SegmenterProtocol(Protocol):
    """A promptable segmenter. `mvmodel.segmentation.segmenter.Segmenter` is the one that packs build."""

    def encode(self, frames: np.ndarray) -> Sequence[Any]:
        """Run the image encoder: one encoding per frame. frames: uint8 RGB (frames, height, width, 3)."""
        ...

    def predict(self, encoding: Any, *, box: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Masks for one prompt: bool (masks, height, width) and scores, float (masks,).

        box: (left, top, right, bottom) in pixels, the last two exclusive.
        """
        ...

    def automatic(self, encoding: Any) -> Sequence[Any]:
        """Every mask that the segmenter proposes without a prompt, as `MaskCandidate`, best first."""
        ...
