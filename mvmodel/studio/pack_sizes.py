"""`PackSizes`: one pack for videos of several sizes, whose models are loaded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmodel.backends.load import load_backend
from mvmodel.picture_size import PictureSize

if TYPE_CHECKING:
    from mvmodel.backends.backend import Backend
    from mvmodel.packs import Pack

MAX_SIZES = 3
"""Sizes besides the pack's own whose pipelines are kept."""


class PackSizes:
    """A pack and its backend for every size that is asked for. base: the pack with the server's size."""

    def __init__(self, base: Pack) -> None:
        self.base = base
        self._entries: dict[PictureSize, tuple[Pack, Backend]] = {base.info.size: (base, load_backend(base))}

    def pack(self, size: PictureSize) -> Pack:
        """The pack for videos of a size. Raises InputError if it cannot make any."""
        return self._entry(size)[0]

    def backend(self, size: PictureSize) -> Backend:
        """The backend of `pack(size)`. Raises InputError as that does."""
        return self._entry(size)[1]

    def _entry(self, size: PictureSize) -> tuple[Pack, Backend]:
        if size not in self._entries:
            pack = self.base.with_size(size)
            removable_sizes = [entry for entry in self._entries if entry != self.base.info.size]
            if len(removable_sizes) >= MAX_SIZES:
                del self._entries[removable_sizes[0]]
            self._entries[size] = pack, load_backend(pack)
        return self._entries[size]
