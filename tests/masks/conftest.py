"""Random mask sequences for property tests: a few overlapping blobs on a small picture, one or two objects."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mvmodel.masks import MaskSequence

SIDE = 40


def blob(rng: np.random.Generator, height: int = SIDE, width: int = SIDE, margin: int = 8) -> np.ndarray:
    """Two or three discs that stay `margin` pixels inside the picture: bool (height, width), not empty."""
    rows, columns = np.mgrid[:height, :width]
    mask = np.zeros((height, width), bool)
    for _ in range(rng.integers(2, 4)):
        radius = rng.uniform(2.5, 5)
        low, high = margin + radius, np.array([height, width]) - margin - radius
        y, x = rng.uniform(low, high)
        mask |= (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return mask


@st.composite
def sequences(draw, frames: tuple[int, int] = (1, 5), objects: tuple[int, int] = (1, 2)) -> MaskSequence:
    """A sequence of one object without instances, or of two named ones; foreground keeps off the border."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(*objects))
    length = draw(st.integers(*frames))
    masks = np.stack([[blob(rng) for _ in range(length)] for _ in range(count)])
    fps = draw(st.sampled_from([4.0, 8.0, 12.5]))
    if count == 1:
        return MaskSequence(masks[0], fps)
    return MaskSequence.from_instances(masks, fps, [f"thing {index}" for index in range(count)])
