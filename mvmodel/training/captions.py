"""Captions for clips that have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mvmodel.text import with_article

if TYPE_CHECKING:
    from mvmodel.packs import Pack


def propose_caption(pack: Pack, frames: np.ndarray) -> str:
    """The sentence that the pack's scorer finds most similar to a clip's frames, uint8 (frames, height, width, 3).

    Tries every object and background of the pack. Returns "" for a pack that lists none; such clips train without text.
    """
    objects, backgrounds = pack.info.objects, pack.info.backgrounds
    if not objects:
        return ""
    scorer = pack.scorer()
    image = scorer.images(frames[:: max(1, len(frames) // 4)]).mean(axis=0)

    def most_similar(sentences: list[str]) -> int:
        return int(np.argmax(scorer.texts(sentences) @ image))

    subjects = [with_article(word) for word in objects]
    subject = subjects[most_similar(subjects)]
    if not backgrounds:
        return subject
    phrases = list(backgrounds.values())
    return f"{subject} {phrases[most_similar(phrases)]}"
