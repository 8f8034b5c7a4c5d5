"""The shape of a noun: pictures of it are drawn, its foreground is cut out, and the scorer picks the best one.

The models are handed in, so that nothing here depends on a model pack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mvmodel.authoring.config import TextToMasksConfig
from mvmodel.errors import InputError
from mvmodel.metrics.adherence import cut_out, find_foreground, similarity_margin
from mvmodel.metrics.protocols import ScorerProtocol
from mvmodel.segmentation.protocols import SegmenterProtocol


@dataclass(frozen=True)
class ShapeModels:
    """The models that find a noun's shape. `mvmodel.backends.shape_models` makes them from a model pack.

    name: of the model pack, for messages. objects: the object words it was trained on; empty if any word may be used.
    draw: draws pictures of nouns, uint8 (nouns, pictures, height, width, 3). load_segmenter, load_scorer: load these
    models, which sentences whose shapes are given never need.
    """

    name: str
    objects: Sequence[str]
    draw: Callable[[Sequence[str], TextToMasksConfig], np.ndarray]
    load_segmenter: Callable[[], SegmenterProtocol]
    load_scorer: Callable[[], ScorerProtocol]


@dataclass(frozen=True)
class Shapes:
    """Shapes of nouns.

    masks: noun -> its shape, bool (height, width). pictures: noun -> the picture that its shape was cut from, uint8
    (height, width, 3). assumptions: sentences about shapes that may be wrong.
    """

    masks: dict[str, np.ndarray]
    pictures: dict[str, np.ndarray]
    assumptions: list[str]


def find_shapes(nouns: Sequence[str], models: ShapeModels, config: TextToMasksConfig) -> Shapes:
    """Find the shape of each noun. Raises InputError if no picture of a noun has a foreground."""
    shapes = Shapes({}, {}, [])
    if not nouns:
        return shapes
    for noun, pictures in zip(nouns, models.draw(nouns, config), strict=True):
        word = next((word for word in models.objects if word in noun.split()), noun)
        if models.objects and word not in models.objects:
            shapes.assumptions.append(
                f"pack {models.name} was not trained on {noun!r}; its shape may be that of another object"
            )
        segmenter, scorer = models.load_segmenter(), models.load_scorer()
        foreground = find_foreground(pictures, segmenter, scorer, [word])
        usable = [index for index in range(len(pictures)) if foreground[index].any()]
        if not usable:
            raise InputError(f"the pictures of {noun!r} have no foreground; give its shape as a mask with --shape")
        cut_outs = np.stack([cut_out(pictures[index], foreground[index]) for index in usable])
        margins = similarity_margin(cut_outs, word, scorer, scorer.words)
        best = usable[int(np.argmax(margins))]
        if margins.max() < config.min_similarity_margin:
            shapes.assumptions.append(
                f"the picture of {noun!r} does not look much like one ({margins.max():.2f}); check its shape"
            )
        shapes.masks[noun], shapes.pictures[noun] = foreground[best], pictures[best]
    return shapes


def write_pictures(folder: Path, pictures: Mapping[str, np.ndarray]) -> None:
    """Write every picture that a shape was cut from as `folder`/NOUN.png."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for noun, picture in pictures.items():
        Image.fromarray(picture).save(Path(folder) / f"{noun.replace(' ', '-')}.png")
