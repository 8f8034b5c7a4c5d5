"""The video of one cell: its first frame, with whatever the cell does to it, and the frames that follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mvmodel.backends.backend import Backend
from mvmodel.backends.image_unet.latents import add_latent_noise
from mvmodel.experiments.cells import Cell
from mvmodel.generation.requests import generate_video
from mvmodel.masks import MaskSequence
from mvmodel.masks.edit import erode, move
from mvmodel.metrics.appearance import GREY
from mvmodel.packs import Pack


def sample_cell_video(
    backend: Backend, adapter: Path, cell: Cell, first_frame: np.ndarray, work_dir: Path
) -> np.ndarray:
    """Frames of the cell's video, uint8 (frames, height, width, 3).

    work_dir: where an interrupted long video resumes.
    """
    return generate_video(
        backend,
        adapter,
        cell.task.prompt,
        MaskSequence(cell.masks, cell.task.fps),
        first_frame,
        cell.generation,
        cell.task.seed,
        mask_term=cell.mask_term,
        work_dir=work_dir,
    )


def sample_first_frame(backend: Backend, pack: Pack, cell: Cell) -> np.ndarray:
    """Frame 1 of the cell's video, uint8 (height, width, 3)."""
    first, side = cell.first, cell.masks.shape[2]
    if first.blank:
        return np.full((*cell.masks.shape[1:], 3), GREY, np.uint8)
    mask = MaskSequence(cell.masks[:1])
    if first.erode:
        mask = erode(mask, first.erode * side)
    if first.shift:
        mask = move(mask, dx=round(first.shift * side))
    control = mask.masks if mask.masks.any() else cell.masks[:1]
    config = cell.generation if first.control else cell.generation.model_copy(update={"control_scale": 0.0})
    picture = backend.first_frames([first.prompt or cell.task.prompt], control, [cell.task.seed], config)[0]
    if first.latent_noise:
        return add_latent_noise(pack.vae(), picture[None], first.latent_noise, cell.task.seed)[0]
    return picture
