"""The appearance anchor: queries inside an object's mask read the object's tokens of frame 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from mvmodel.model.context import ObjectAnchor


def build_anchors(
    objects: Sequence[torch.Tensor], strength: float, size: tuple[int, int], levels: int
) -> list[ObjectAnchor]:
    """One anchor per object.

    Args:
        objects: Masks of each object, float 0/1 (B, F, H, W), frame 1 first; frame 1 itself stays as it is.
        strength: Share of the attention that is replaced where the object is, 0..1.
        size: Height and width of the latents.
        levels: Number of resolutions of the UNet.
    """
    anchors = []
    for masks in objects:
        first: dict[int, torch.Tensor] = {}
        frames: dict[int, torch.Tensor] = {}
        height, width = size
        for _ in range(levels):
            coverage = F.adaptive_avg_pool2d(masks, (height, width)).flatten(2)  # (B, F, N)
            weights = strength * coverage
            weights[:, 0] = 0
            first[height * width], frames[height * width] = coverage[:, 0], weights
            height, width = -(-height // 2), -(-width // 2)
        anchors.append(ObjectAnchor(first, frames))
    return anchors


def select_rows(anchor: ObjectAnchor, span: slice, branches: int) -> ObjectAnchor:
    """The anchor for the frames in `span`, with one row for each branch and clip."""
    return ObjectAnchor(
        {tokens: value.repeat(branches, 1) for tokens, value in anchor.first.items()},
        {tokens: value[:, span].repeat(branches, 1, 1) for tokens, value in anchor.frames.items()},
    )
