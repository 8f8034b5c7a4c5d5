"""Keeps the background of later frames at frame 1's where frame 1 shows it, and at one common picture elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from mvmodel.backends.generation_config import BackgroundMode
from mvmodel.backends.image_unet.camera import pan_pictures, translate

PASTE_MARGIN = 4 / 128
"""How far a paste stays away from objects, as a share of the picture's shorter side."""
PASTE_FEATHER = 2 / 128
"""Standard deviation of a paste's soft border, as a share of the picture's shorter side."""


def background_weights(masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """How much of every latent cell is background, float 0..1 (B, F, 1, h, w), fading over one cell at its border.

    masks: float 0/1 (B, F, H, W). Cells that an object touches are 0: the autoencoder mixes its colours into them.
    """
    clear = (F.adaptive_max_pool2d(masks.flatten(0, 1)[:, None], size) == 0).to(masks.dtype)
    faded = F.avg_pool2d(F.pad(clear, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return (clear * faded).unflatten(0, masks.shape[:2])


@dataclass
class PlateMemory:
    """The mean of all backgrounds that finished frames showed, in a field as large as what the camera sees.

    sums: weighted sum of latents, float32 (B, C, h, w). weights: their sum, (B, 1, h, w). origin: place of frame 1 in
    this field, (2,), in cells from the left and the top.
    """

    sums: torch.Tensor
    weights: torch.Tensor
    origin: tuple[float, float]

    @classmethod
    def for_path(cls, first: torch.Tensor, camera_cells: np.ndarray) -> PlateMemory:
        """An empty memory for frames like `first`, (B, C, h, w). camera_cells: (F, 2), of the whole video, in cells."""
        low, high = np.minimum(camera_cells.min(axis=0), 0), np.maximum(camera_cells.max(axis=0), 0)
        x, y = (float(-value) for value in low)
        width, height = (int(np.ceil(value)) for value in high - low + (first.shape[-1], first.shape[-2]))
        sums = torch.zeros(*first.shape[:2], height, width, device=first.device)
        return cls(sums, sums[:, :1].clone(), (x, y))

    def add(self, latents: torch.Tensor, weights: torch.Tensor, camera_cells: torch.Tensor) -> PlateMemory:
        """The memory with frames added. latents: (B, F, C, h, w). weights: (B, F, 1, h, w). camera_cells: (F, 2)."""
        batch, frames = latents.shape[:2]
        offsets = (-camera_cells - torch.tensor(self.origin)).repeat(batch, 1)
        size = (self.sums.shape[-2], self.sums.shape[-1])
        planes = torch.cat([latents.float() * weights, weights.float()], dim=2).flatten(0, 1)
        placed = translate(planes, offsets, size).unflatten(0, (batch, frames)).sum(dim=1)
        return PlateMemory(self.sums + placed[:, :-1], self.weights + placed[:, -1:], self.origin)

    def view(self, camera_cells: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """What frames see of the mean, (B, F, C, h, w), and how sure it is, (B, F, 1, h, w)."""
        mean = self.sums / self.weights.clamp(min=1e-6)
        batch, frames = len(mean), len(camera_cells)
        planes = torch.cat([mean, (self.weights > 1e-3).to(mean.dtype)], dim=1)
        rows = planes[:, None].expand(-1, frames, -1, -1, -1).flatten(0, 1)
        offsets = (camera_cells + torch.tensor(self.origin)).repeat(batch, 1)
        views = translate(rows, offsets, size).unflatten(0, (batch, frames))
        return views[:, :, :-1], views[:, :, -1:]


class BackgroundGuide:
    """Pulls the background of the new frames to frame 1's, and elsewhere to the mean of the frames that show it.

    Args:
        mode: "plate", or "first" for frame 1's background alone.
        first: Latents of frame 1 as each new frame sees them, (B, F, C, h, w); F may be 1 if the camera stands still.
        visible: How much of each cell of `first` is its background, (B, F, 1, h, w).
        weights: How much of each cell of the new frames is background, (B, F, 1, h, w).
        camera_cells: Camera positions of the new frames relative to the video's frame 1, (F, 2), in cells.
        memory: What earlier frames showed.
        fill: What the background is pulled to where frame 1 does not show it, until `fill_end` of the steps; latents
            (B, F or 1, C, h, w), or None.
        fill_end: Share of the steps.
    """

    def __init__(
        self,
        mode: BackgroundMode,
        first: torch.Tensor,
        visible: torch.Tensor,
        weights: torch.Tensor,
        camera_cells: torch.Tensor,
        memory: PlateMemory,
        fill: torch.Tensor | None = None,
        fill_end: float = 0.0,
    ) -> None:
        self.mode, self.first, self.visible, self.weights = mode, first.float(), visible.float(), weights.float()
        self.camera_cells, self.memory = camera_cells, memory
        self.fill, self.fill_end = None if fill is None else fill.float(), fill_end

    def __call__(self, clean: torch.Tensor, progress: float) -> torch.Tensor:
        if self.fill is not None and progress < self.fill_end:
            return clean + self.weights * (self.visible * self.first + (1 - self.visible) * self.fill - clean)
        if self.mode == "first":
            return clean + self.weights * self.visible * (self.first - clean)
        mean, certainty = self.memory.add(clean, self.weights, self.camera_cells).view(
            self.camera_cells, (clean.shape[-2], clean.shape[-1])
        )
        target = self.visible * self.first + (1 - self.visible) * (clean + certainty * (mean - clean))
        return clean + self.weights * (target - clean)

    def remember(self, latents: torch.Tensor) -> PlateMemory:
        """The memory with the finished frames, (B, F, C, h, w), added."""
        return self.memory.add(latents, self.weights, self.camera_cells)


def paste_background(
    frames: np.ndarray,
    first_frame: np.ndarray,
    masks: np.ndarray,
    first_mask: np.ndarray,
    offsets: np.ndarray | None = None,
) -> np.ndarray:
    """Later frames with frame 1's own pixels in the background, where frame 1 shows it, with soft borders.

    Args:
        frames: float32 (F, H, W, 3).
        first_frame: float32 (H, W, 3).
        masks: bool (F, H, W), of `frames`.
        first_mask: bool (H, W).
        offsets: Camera positions of the frames relative to frame 1, (F, 2), in pixels; None if the camera stands still.

    Returns:
        float32 (F, H, W, 3).
    """
    path = np.zeros((len(frames), 2)) if offsets is None else offsets
    side = min(first_mask.shape)
    radius = max(1, round(PASTE_MARGIN * side))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    pictures, visible = pan_pictures(first_frame, path)
    covered, _ = pan_pictures(first_mask.astype(np.uint8), path)
    result = frames.copy()
    for index, mask in enumerate(masks):
        objects = mask | (covered[index] > 0) | ~visible[index]
        margins = cv2.dilate(objects.astype(np.uint8), kernel).astype(np.float32)
        weight = 1 - np.maximum(cv2.GaussianBlur(margins, (0, 0), PASTE_FEATHER * side), objects)
        result[index] += weight[..., None] * (pictures[index] - frames[index])
    return result
