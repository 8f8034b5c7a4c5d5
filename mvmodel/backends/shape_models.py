"""The models of a pack that `mvmodel.authoring` needs to find the shape of a noun."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mvmodel.authoring.config import TextToMasksConfig
from mvmodel.authoring.shapes import ShapeModels
from mvmodel.backends.load import load_backend
from mvmodel.text import with_article

if TYPE_CHECKING:
    from mvmodel.packs import Pack

BATCH_PIXELS = 1 << 18
"""Pixels of the pictures that are drawn at once. The attention of four pictures of 512x512 would take 9 GB on a CPU."""


def load_shape_models(pack: Pack) -> ShapeModels:
    """The shape models of `pack`. Each is loaded on first use."""
    return ShapeModels(
        name=pack.info.name,
        objects=tuple(pack.info.objects),
        draw=partial(draw_noun_pictures, pack),
        load_segmenter=pack.segmenter,
        load_scorer=pack.scorer,
    )


def draw_noun_pictures(pack: Pack, nouns: Sequence[str], config: TextToMasksConfig) -> np.ndarray:
    """Draw `config.pictures_per_noun` pictures of each noun, on the backgrounds that the pack was trained on.

    Returns uint8 (nouns, pictures, height, width, 3).
    """
    backend = load_backend(pack)
    backgrounds = list(pack.info.backgrounds.values()) or [""]
    numbers = range(config.pictures_per_noun)
    height, width = pack.info.size.shape
    batch = max(1, BATCH_PIXELS // (height * width))
    pictures = []
    for noun in nouns:
        prompts = [f"{with_article(noun)} {backgrounds[n % len(backgrounds)]}".strip() for n in numbers]
        seeds = [config.seed + n for n in numbers]
        parts = [
            backend.generate_images(
                prompts[start : start + batch], seeds[start : start + batch], config.steps, config.guidance_scale
            )
            for start in range(0, len(prompts), batch)
        ]
        pictures.append(np.concatenate(parts))
    return np.stack(pictures)
