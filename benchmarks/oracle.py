"""A segmenter that answers prompts with the truth, for figures that do not rest on a segmenter's weights."""

from __future__ import annotations

from typing import Any

import numpy as np

GRID = 8
"""Points a side of the automatic masks' grid, for segmenter and oracle alike."""


class OracleSegmenter:
    """A segmenter that returns the true mask for a prompt inside it, and a piece of the scenery for one outside.

    Scenery is cut into even-coloured pieces. True mask and pieces get the same quality, so nothing but the prompt tells
    them apart. A box stands for the point in its middle; of a rough mask, its innermost point.
    """

    def __init__(self, frames: np.ndarray, truth: np.ndarray, score: float = 0.9) -> None:
        self.frames, self.truth, self.score = frames, truth, score
        self.encoded = 0
        self._pieces: dict[int, np.ndarray] = {}

    def encode(self, frames: np.ndarray) -> list[int]:
        if len(frames) != len(self.frames):
            raise ValueError("the oracle knows one clip only, and encodes all of it at once")
        self.encoded += len(frames)
        return list(range(len(frames)))

    def pieces(self, frame: int) -> np.ndarray:
        """Labels of the scenery, int (H, W); the object is 0."""
        if frame not in self._pieces:
            import cv2
            from skimage.segmentation import felzenszwalb

            picture, truth = self.frames[frame], self.truth[frame]
            size = (picture.shape[1] // 4, picture.shape[0] // 4)
            small = felzenszwalb(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale=200, min_size=60)
            full = cv2.resize(small.astype(np.int32), truth.shape[::-1], interpolation=cv2.INTER_NEAREST)
            self._pieces[frame] = np.where(truth, 0, full + 1)
        return self._pieces[frame]

    def _at(self, frame: int, x: float, y: float) -> np.ndarray:
        labels = self.pieces(frame)
        row, column = min(max(int(y), 0), labels.shape[0] - 1), min(max(int(x), 0), labels.shape[1] - 1)
        return np.asarray(labels == labels[row, column])

    def predict(
        self,
        encoding: int,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_prompt: np.ndarray | None = None,
        multimask_output: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        from mvmodel.masks.geometry import innermost_point

        if point_coords is not None:
            x, y = point_coords[0]
        elif box is not None:
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        else:
            x, y = innermost_point(mask_prompt)
        return self._at(encoding, x, y)[None], np.array([self.score])

    def automatic(
        self, encoding: int, point_coords: np.ndarray | None = None, min_area: float = 0.002, **_: Any
    ) -> list[Any]:
        from mvmodel.masks.geometry import bounding_box
        from mvmodel.segmentation.segmenter import MaskCandidate

        height, width = self.truth.shape[1:]
        if point_coords is None:
            at = (np.arange(GRID) + 0.5) / GRID
            point_coords = np.array([(x * width, y * height) for y in at for x in at])
        masks: dict[bytes, np.ndarray] = {}
        for x, y in point_coords:
            mask = self._at(encoding, x, y)
            if mask.mean() >= min_area:
                masks.setdefault(np.packbits(mask).tobytes(), mask)
        return [MaskCandidate(mask, self.score, self.score, bounding_box(mask)) for mask in masks.values()]
