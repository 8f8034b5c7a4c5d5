"""The models of a pack that `mvmodel.authoring` needs to find the shape of a noun."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mvmodel.authoring.shapes import ShapeModels
from mvmodel.backends.image_unet.noun_pictures import draw_noun_pictures

if TYPE_CHECKING:
    from mvmodel.packs import Pack


def load_shape_models(pack: Pack) -> ShapeModels:
    """The shape models of `pack`. Each is loaded on first use."""
    return ShapeModels(
        name=pack.info.name,
        objects=tuple(pack.info.objects),
        draw=partial(draw_noun_pictures, pack),
        load_segmenter=pack.segmenter,
        load_scorer=pack.scorer,
    )
