"""Captions for clips that came without one."""

from __future__ import annotations

from typing import Any

import numpy as np

from mvmodel.text import with_article


def propose_caption(pack: Any, frames: np.ndarray) -> str:
    """The sentence that the pack's scorer ties best to a clip's frames, uint8 (F, H, W, 3).

    Tries every object and background word of the pack; a pack that lists none gives "", which trains without words.
    """
    objects, backgrounds = pack.info.objects, pack.info.backgrounds
    if not objects:
        return ""
    scorer = pack.scorer()
    image = scorer.images(frames[:: max(1, len(frames) // 4)]).mean(axis=0)

    def best(sentences: list[str]) -> int:
        return int(np.argmax(scorer.texts(sentences) @ image))

    named = [with_article(word) for word in objects]
    subject = named[best(named)]
    if not backgrounds:
        return subject
    phrases = list(backgrounds.values())
    return f"{subject} {phrases[best(phrases)]}"
