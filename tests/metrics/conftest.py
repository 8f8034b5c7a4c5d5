"""Stand-ins for the pack's models: exact about the renders they are made from, so that only the metric is on trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mvmodel.metrics.adherence import cut_out
from mvmodel.text import with_article
from mvmodel.world.render import HELD_OUT, RenderedClip, random_clip
from mvmodel.world.sprites import OBJECTS, atlas


class ColourScorer:
    """Embeds a picture by its average colours in a 4x4 grid, and "a horse" by the horse's own sprite on grey."""

    words = tuple(OBJECTS)
    record = {"scorer": "average colours", "scorer_weights": "", "scorer_preprocess": ""}

    def images(self, frames: np.ndarray) -> np.ndarray:
        side = frames.shape[1] // 4
        cells = frames[:, : side * 4, : side * 4].reshape(len(frames), 4, side, 4, -1, 3).mean(axis=(2, 4)) / 255 - 0.5
        rows = np.concatenate([cells.reshape(len(frames), -1), np.full((len(frames), 1), 0.3)], axis=1)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def texts(self, texts: list[str]) -> np.ndarray:
        return np.concatenate([self._picture(text) for text in texts])

    def _picture(self, text: str) -> np.ndarray:
        word = next(word for word in OBJECTS if text == with_article(word))
        sprite = atlas()[word]
        picture = (sprite[..., :3] + 128 / 255 * (1 - sprite[..., 3:])) * 255
        return self.images(cut_out(picture.astype(np.uint8), sprite[..., 3] > 0.5)[None])


@dataclass
class Piece:
    mask: np.ndarray


class ExactSegmenter:
    """Offers every object's exact mask, half of it, and two patches, for the frames of the rendered clips it knows."""

    def __init__(self, *clips: RenderedClip) -> None:
        self.masks: dict[bytes, list[np.ndarray]] = {}
        for clip in clips:
            for index, frame in enumerate(clip.frames):
                self.masks[frame.tobytes()] = [instance[index] for instance in clip.instances]

    def encode(self, frames: np.ndarray) -> list[bytes]:
        return [frame.tobytes() for frame in frames]

    def automatic(self, encoding: bytes) -> list[Piece]:
        objects = [mask for mask in self.masks[encoding] if mask.any()]
        pieces = []
        for mask in objects:
            rows = np.nonzero(mask)[0]
            half = mask.copy()
            half[int(rows.mean()) :] = False
            pieces += [half, mask]
        for corner in ((slice(0, 40), slice(0, 40)), (slice(90, 128), slice(60, 128))):
            patch = np.zeros((128, 128), bool)
            patch[corner] = True
            pieces.append(patch & ~np.any(objects, axis=0) if objects else patch)
        return [Piece(mask) for mask in pieces]

    def predict(self, encoding: bytes, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        left, top, right, bottom = box.astype(int)
        box_mask = np.zeros((128, 128), bool)
        box_mask[top:bottom, left:right] = True
        return np.stack([box_mask & mask for mask in self.masks[encoding]]), np.ones(len(self.masks[encoding]))


@pytest.fixture(scope="session")
def scorer() -> ColourScorer:
    return ColourScorer()


@pytest.fixture(scope="session")
def clip() -> RenderedClip:
    """A red car gliding over a meadow, camera still."""
    return random_clip(
        (HELD_OUT, 11, 3), frames=10, motion="glide", objects=("car",), background="meadow", pan=0, facing=1
    )


@pytest.fixture(scope="session")
def elsewhere() -> RenderedClip:
    """The same car going the other way."""
    return random_clip(
        (HELD_OUT, 12, 3), frames=10, motion="glide", objects=("car",), background="meadow", pan=0, facing=-1
    )


@pytest.fixture(scope="session")
def exact_segmenter(clip: RenderedClip, elsewhere: RenderedClip) -> ExactSegmenter:
    return ExactSegmenter(clip, elsewhere)


@pytest.fixture(scope="session")
def segmenter_of() -> type[ExactSegmenter]:
    """Makes an `ExactSegmenter` for other clips."""
    return ExactSegmenter
