"""The backend of a model pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmodel.backends.image_unet.backend import ImageUNetBackend

if TYPE_CHECKING:
    from mvmodel.backends.backend import Backend
    from mvmodel.packs import Pack


def load_backend(pack: Pack) -> Backend:
    """The backend that runs the models of `pack`. Models are loaded on first use."""
    return ImageUNetBackend(pack)
