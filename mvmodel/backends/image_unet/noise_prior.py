"""Starting noise that frames have in common (PYoCo's mixed noise), also noise that moves with the objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

DrawNoise = Callable[[tuple[int, ...]], torch.Tensor]
"""Draws standard normal noise of a shape without the batch axis, (C, h, w); returns it with the batch axis."""


def mix_noise(noise: torch.Tensor, common: torch.Tensor, share: float) -> torch.Tensor:
    """sqrt(share) * common + sqrt(1 - share) * noise, which keeps unit variance (Ge et al. 2023, PYoCo).

    noise: standard normal (B, F, C, h, w). common: standard normal, of the same shape or with one frame.
    """
    return share**0.5 * common + (1 - share) ** 0.5 * noise


class FollowingNoise:
    """Noise that all frames have in common: in the background at its place, in every object carried by its masks.

    Noise is carried by whole latent cells and never scaled, so that the noise of a frame stays white and Gaussian. An
    object has noise of its own; where it was, the background's noise shows.

    Args:
        background: Frame 1's noise, (B, C, h, w).
        draw: Draws the noise of the objects, and of what the camera reveals.
        objects: Masks of every object over the whole video, bool (F, H, W) each. A later one is in front.
        camera: Position of the camera relative to frame 1, in pixels to the right and down, (F, 2).
    """

    def __init__(
        self, background: torch.Tensor, draw: DrawNoise, objects: Sequence[np.ndarray], camera: np.ndarray | None = None
    ) -> None:
        channels, self.height, self.width = background.shape[-3:]
        self.cell_masks = [cover_cells(masks, self.height, self.width) for masks in objects]
        self.shifts = [compute_cell_shifts(masks, self.height, self.width) for masks in objects]
        frames, pixel_height, pixel_width = objects[0].shape
        path = np.zeros((frames, 2)) if camera is None else np.asarray(camera, float)
        cells = path * (self.width / pixel_width, self.height / pixel_height)
        self.camera = np.round(cells).astype(int)[:, ::-1]  # (F, 2) down, right
        low, high = np.minimum(self.camera.min(axis=0), 0), np.maximum(self.camera.max(axis=0), 0)
        self.origin = -low
        height, width = (int(n) for n in np.array([self.height, self.width]) + high - low)
        if (height, width) == (self.height, self.width):
            self.background = background
        else:
            self.background = draw((channels, height, width)).to(background)
            y, x = self.origin
            self.background[..., y : y + self.height, x : x + self.width] = background
        field = (channels, 3 * self.height, 3 * self.width)
        self.objects = [draw(field).to(background) for _ in objects]

    def frames(self, indices: Sequence[int]) -> torch.Tensor:
        """The common noise of these frames of the video, (B, len(indices), C, h, w)."""
        return torch.stack([self._frame(index) for index in indices], dim=1)

    def _frame(self, index: int) -> torch.Tensor:
        y, x = self.origin + self.camera[index]
        frame = self.background[..., y : y + self.height, x : x + self.width]
        for field, masks, shifts in zip(self.objects, self.cell_masks, self.shifts, strict=True):
            dy, dx = np.clip(shifts[index], (-self.height, -self.width), (self.height, self.width))
            y, x = self.height - dy, self.width - dx
            carried = field[..., y : y + self.height, x : x + self.width]
            frame = torch.where(masks[index].to(frame.device), carried, frame)
        return frame


def cover_cells(masks: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Which latent cells an object covers by a quarter or more, bool (F, height, width); masks: bool (F, H, W)."""
    coverage = F.adaptive_avg_pool2d(torch.from_numpy(np.ascontiguousarray(masks)).float()[:, None], (height, width))
    return coverage[:, 0] >= 0.25


def compute_cell_shifts(masks: np.ndarray, height: int, width: int) -> np.ndarray:
    """How far an object's centre has moved since its first frame, in whole cells down and right: int (F, 2).

    Frames without the object repeat the last shift.
    """
    scale = np.array([height / masks.shape[1], width / masks.shape[2]])
    shifts, last = np.zeros((len(masks), 2), int), np.zeros(2, int)
    start: np.ndarray | None = None
    for index, mask in enumerate(masks):
        points = np.argwhere(mask)
        if len(points):
            centre = points.mean(axis=0) * scale
            start = centre if start is None else start
            last = np.round(centre - start).astype(int)
        shifts[index] = last
    return shifts
