"""Captions for clips that have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mvmodel.text import with_article

if TYPE_CHECKING:
    from mvmodel.packs import Pack


OPEN_VOCABULARY = (
    "person", "dancer", "car", "bicycle", "motorcycle", "scooter", "bus", "truck", "train", "tractor", "airplane",
    "helicopter", "boat", "sailboat", "ship", "balloon", "ball", "kite", "skateboard", "flag", "flower", "tree",
    "horse", "dog", "cat", "cow", "sheep", "goat", "pig", "rabbit", "mouse", "squirrel", "deer", "elephant", "giraffe",
    "zebra", "camel", "bear", "lion", "tiger", "fox", "wolf", "monkey", "kangaroo", "bird", "duck", "swan", "goose",
    "chicken", "rooster", "penguin", "owl", "parrot", "flamingo", "eagle", "fish", "shark", "whale", "dolphin",
    "turtle", "frog", "snake", "lizard", "crab", "snail", "butterfly", "bee",
)  # fmt: skip
"""What moves in clips, for packs that draw whatever they are told to."""


def propose_caption(pack: Pack, frames: np.ndarray) -> str:
    """The sentence that the pack's scorer finds most similar to a clip's frames, uint8 (frames, height, width, 3).

    Tries every object and background of the pack; of a pack with an open vocabulary, the words of `OPEN_VOCABULARY`.
    """
    objects, backgrounds = pack.info.objects or OPEN_VOCABULARY, pack.info.backgrounds
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
