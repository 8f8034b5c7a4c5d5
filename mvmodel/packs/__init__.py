"""Model packs: a folder in diffusers' own layout plus a segmenter, a scorer and `pack.json`.

No code asks whether a pack is tiny: what differs between packs stands in `pack.json`.
"""

from mvmodel.packs.info import PackInfo, default_name, list_packs, pack_folder
from mvmodel.packs.loader import Pack, load_pack

__all__ = ["Pack", "PackInfo", "default_name", "list_packs", "load_pack", "pack_folder"]
