"""Whether a first frame that the user gave shows the object where mask 1 is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mvmodel.errors import InputError
from mvmodel.metrics.judge import judge_iou
from mvmodel.text import find_object_words

if TYPE_CHECKING:
    from mvmodel.packs import Pack


def check_first_frame_fit(
    pack: Pack, first_frame: np.ndarray, mask: np.ndarray, prompt: str, min_iou: float
) -> float | None:
    """IoU of the object in a given first frame with mask 1; None if it is not checked.

    The object is detected without the mask, as what the pack's scorer finds most similar to the prompt's object words.
    A random pack cannot detect it, and `min_iou` 0 accepts any frame; both return None.

    Args:
        pack: Provides segmenter and scorer.
        first_frame: uint8 (height, width, 3).
        mask: bool (height, width).
        prompt: What the video is to show.
        min_iou: Smallest IoU that is accepted, 0..1.

    Raises:
        InputError: The IoU is below `min_iou`.
    """
    if pack.info.random or not min_iou:
        return None
    words = find_object_words(prompt, list(pack.info.objects)) or [prompt]
    overlap = float(judge_iou(first_frame[None], mask[None], pack.scorer(), pack.segmenter(), words)[0])
    if overlap < min_iou:
        raise InputError(
            f"the first frame shows {' and '.join(words)} elsewhere than mask 1 says (IoU {overlap:.2f}, at least "
            f"{min_iou:g} is wanted); move the mask onto it, or let the ControlNet make frame 1"
        )
    return overlap
