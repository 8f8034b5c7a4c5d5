"""What the library needs of a segmenter, whichever model is behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mvmodel.segmentation.segmenter import MaskCandidate


class SegmenterProtocol(Protocol):
    """A promptable segmenter. Packs build a `mvmodel.segmentation.segmenter.Segmenter`."""

    def encode(self, frames: np.ndarray) -> Sequence[Any]:
        """Runs the image encoder on frames, uint8 RGB (frames, height, width, 3). Returns one encoding per frame."""
        ...

    def predict(
        self,
        encoding: Any,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_prompt: np.ndarray | None = None,
        multimask_output: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Masks for one prompt, bool (masks, height, width), and their scores, float (masks,).

        Args:
            encoding: A frame's encoding.
            point_coords: float (points, 2), x and y in pixels.
            point_labels: int (points,): 1 for inside, 0 for outside. None: all are inside.
            box: float (4,): left, top, right, bottom in pixels, the last two exclusive.
            mask_prompt: A rough mask, bool (height, width).
            multimask_output: Return several masks to choose from instead of one.
        """
        ...

    def automatic(
        self, encoding: Any, *, min_area: float = 0.002, point_coords: np.ndarray | None = None
    ) -> Sequence[MaskCandidate]:
        """Masks without a prompt, the best first.

        Args:
            encoding: A frame's encoding.
            min_area: Share of the picture below which a mask is dropped.
            point_coords: float (points, 2), x and y in pixels, to prompt at instead of on a grid.
        """
        ...


@runtime_checkable
class VideoTracker(Protocol):
    """A segmenter that also follows an object through a clip, with a memory of its own."""

    def track(
        self, frames: np.ndarray, start: int, mask: np.ndarray, progress: Callable[[], None] | None = None
    ) -> tuple[np.ndarray, list[float]]:
        """Masks, bool (frames, height, width), and scores, 0..1, of the object that `mask` shows in frame `start`.

        Args:
            frames: uint8 RGB (frames, height, width, 3).
            start: The prompted frame.
            mask: The object there, bool (height, width).
            progress: Called after each tracked frame.
        """
        ...
