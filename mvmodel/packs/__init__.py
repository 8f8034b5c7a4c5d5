"""Model packs: a folder in diffusers' layout plus a segmenter, a scorer and `pack.json`.

The code never asks which pack it runs. Everything that differs between packs is in `pack.json`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mvmodel.packs.info import PackInfo, find_pack_folder, get_default_pack_name, list_packs

if TYPE_CHECKING:
    from mvmodel.packs.loader import Pack, load_pack

__all__ = ["Pack", "PackInfo", "find_pack_folder", "get_default_pack_name", "list_packs", "load_pack"]


def __getattr__(name: str) -> Any:
    """Imports `mvmodel.packs.loader`, and with it torch and diffusers, when `Pack` or `load_pack` is first used."""
    if name in ("Pack", "load_pack"):
        return getattr(import_module("mvmodel.packs.loader"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
