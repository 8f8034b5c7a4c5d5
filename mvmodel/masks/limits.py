"""How many masks and frames may be made, checked before memory is taken for them."""

from __future__ import annotations

from mvmodel.errors import InputError

MAX_MASK_PIXELS = 1 << 30
"""Pixels of all masks of a sequence together: 500 masks of one object at 1920x1080, 65,000 at 128x128."""
MAX_SIDE = 4096
"""Largest height and width of masks that are made."""
MAX_FRAMES = 10_000
"""Most frames of masks that are made."""


def check_mask_size(what: str, objects: int, frames: int, height: int, width: int) -> None:
    """Raises InputError naming `what` is asked for if masks of this number and size are beyond a limit."""
    if max(height, width) > MAX_SIDE:
        raise InputError(f"{what}: {width}x{height} is more than the limit of {MAX_SIDE} pixels a side")
    if frames > MAX_FRAMES:
        raise InputError(f"{what}: {frames} frames are more than the limit of {MAX_FRAMES}")
    if objects * frames * height * width > MAX_MASK_PIXELS:
        raise InputError(
            f"{what}: {objects} {'object' if objects == 1 else 'objects'} in {frames} frames of {width}x{height} are "
            f"more than the limit of {MAX_MASK_PIXELS:,} pixels; give fewer frames or objects, or a smaller size"
        )
