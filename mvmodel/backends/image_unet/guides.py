"""The guides of the clean prediction that a video asks for: its background, and drafts of its objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mvmodel.backends.generation_config import BackgroundMode
from mvmodel.backends.image_unet.background import BackgroundGuide, PlateMemory, background_weights
from mvmodel.backends.image_unet.camera import pan_pictures, to_cells, translate
from mvmodel.backends.image_unet.draft import DraftGuide, draw_drafts, inpaint_objects
from mvmodel.backends.image_unet.later_frames import FrameLayout, FrameOptions

EncodePictures = Callable[[np.ndarray], torch.Tensor]
"""Encodes pictures, uint8 (N, H, W, 3), to scaled latents (N, C, h, w)."""


def build_guides(
    options: FrameOptions,
    layout: FrameLayout,
    first: torch.Tensor,
    pictures: Callable[[], np.ndarray],
    encode: EncodePictures,
    plate: PlateMemory | None = None,
    context_latents: torch.Tensor | None = None,
) -> dict[str, Any]:
    """The guides by name: "background", then "draft", each where `options` ask for it.

    first: latents of frame 1, (B, C, h, w). pictures: returns frame 1, uint8 (B, H, W, 3). plate, context_latents: see
    `build_background_guide`.
    """
    guides: dict[str, Any] = {}
    if (mode := options.resolve_background(layout)) != "none":
        guides["background"] = build_background_guide(
            mode, first, pictures, layout, encode, plate, context_latents, options.background_inpaint
        )
    if options.draft_strength:
        strength, end = options.draft_strength, options.draft_end
        guides["draft"] = build_draft_guide(pictures(), layout, encode, strength, end)
    return guides


def build_background_guide(
    mode: BackgroundMode,
    first: torch.Tensor,
    pictures: Callable[[], np.ndarray],
    layout: FrameLayout,
    encode: EncodePictures,
    memory: PlateMemory | None = None,
    context_latents: torch.Tensor | None = None,
    inpaint_end: float = 0.0,
) -> BackgroundGuide:
    """The guide of the new frames' background.

    Args:
        mode: "plate" or "first".
        first: Latents of frame 1, (B, C, h, w).
        pictures: Returns frame 1, uint8 (B, H, W, 3); only used if the camera moves or with `inpaint_end`.
        layout: The frames.
        encode: Encodes frame 1 as the moved camera sees it.
        memory: What earlier windows showed of the background.
        context_latents: (B, K, C, h, w), used if there is no memory.
        inpaint_end: See `GenerationConfig.background_inpaint`.
    """
    size = (first.shape[-2], first.shape[-1])
    weights = background_weights(layout.masks.to(first.device).float(), size)
    path = layout.camera_path
    cells = to_cells(path, layout.masks.shape, size)
    camera_cells = torch.from_numpy(cells).float()
    new = layout.new_frames
    first_views, visible = first[:, None], weights[:, :1]
    if (offsets := path[new] - path[0]).any():
        first_views = torch.stack([encode(pan_pictures(picture, offsets)[0]) for picture in pictures()]).to(first)
        planes = visible.expand(-1, len(offsets), -1, -1, -1).flatten(0, 1)
        shifts = (camera_cells[new] - camera_cells[0]).repeat(len(first), 1)
        visible = translate(planes, shifts, size).unflatten(0, (len(first), len(offsets)))
    if memory is None:
        memory = PlateMemory.for_path(first, cells)
        if context_latents is not None:
            context = slice(1, 1 + layout.context)
            memory = memory.add(context_latents, weights[:, context], camera_cells[context])
    fill = None
    if inpaint_end:
        pans = offsets if offsets.any() else offsets[:1]
        empty = [
            inpaint_objects(picture, [masks[0] for masks in layout.objects(video)])
            for video, picture in enumerate(pictures())
        ]
        fill = torch.stack([encode(pan_pictures(picture, pans)[0]) for picture in empty]).to(first)
    return BackgroundGuide(mode, first_views, visible, weights[:, new], camera_cells[new], memory, fill, inpaint_end)


def build_draft_guide(
    pictures: np.ndarray, layout: FrameLayout, encode: EncodePictures, strength: float, end: float
) -> DraftGuide:
    """The guide of the new frames' objects. pictures: frame 1, uint8 (B, H, W, 3)."""
    latents, coverage_masks = [], []
    for video, picture in enumerate(pictures):
        objects = layout.objects(video)
        drafts, coverage = draw_drafts(picture, [m[0] for m in objects], [m[layout.new_frames] for m in objects])
        latents.append(encode(drafts))
        coverage_masks.append(torch.from_numpy(coverage))
    stacked = torch.stack(latents)
    return DraftGuide(stacked, torch.stack(coverage_masks).to(stacked.device, torch.float32), strength, end)
