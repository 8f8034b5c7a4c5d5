"""The path of a moving camera, and pictures moved along it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from mvmodel.errors import InputError


def build_camera_path(camera: Sequence[float] | np.ndarray | None, masks_shape: Sequence[int]) -> np.ndarray | None:
    """Position of the camera relative to frame 1, float (F, 2), in pixels to the right and down; None if it is unknown.

    camera: how far it travels over the video at a constant speed, (2,), in frame widths and frame heights, or a path
    in pixels (F, 2). masks_shape: frames, height, width. Raises InputError for any other shape.
    """
    if camera is None:
        return None
    frames, height, width = masks_shape
    path = np.asarray(camera, dtype=float)
    if path.shape == (2,):
        share = np.linspace(0, 1, frames)[:, None] if frames > 1 else np.zeros((1, 1))
        return share * path * (width, height)
    if path.shape != (frames, 2):
        raise InputError(f"the camera path has shape {path.shape}; give (2,) for the whole video, or ({frames}, 2)")
    return path


def to_cells(path: np.ndarray, masks_shape: Sequence[int], latents_shape: Sequence[int]) -> np.ndarray:
    """A camera path in pixels, (F, 2), in latent cells. The shapes end with height and width."""
    return path * (latents_shape[-1] / masks_shape[-1], latents_shape[-2] / masks_shape[-2])


def pan_pictures(picture: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a camera sees of a picture from other positions.

    Args:
        picture: (H, W, C) of any type that OpenCV warps.
        offsets: Camera positions relative to the picture, (F, 2), in pixels to the right and down.

    Returns:
        The pictures (F, H, W, C), their borders repeated outward, and which pixels show the picture, bool (F, H, W).
    """
    height, width = picture.shape[:2]
    panned, visible = [], []
    for dx, dy in np.asarray(offsets, float):
        matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        view = cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        panned.append(view.reshape(picture.shape))
        columns, rows = np.arange(width) + dx, np.arange(height) + dy
        in_picture = ((rows >= 0) & (rows <= height - 1))[:, None] & ((columns >= 0) & (columns <= width - 1))
        visible.append(in_picture)
    return np.stack(panned), np.stack(visible)


def translate(planes: torch.Tensor, offsets: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """out(p) = planes(p + offset), bilinear, 0 outside.

    planes: (N, C, h, w). offsets: (N, 2), right and down, in cells. size: height and width of the result.
    """
    height, width = planes.shape[-2:]
    if not offsets.any() and size == (height, width):
        return planes
    rows = torch.arange(size[0], device=planes.device, dtype=planes.dtype)
    columns = torch.arange(size[1], device=planes.device, dtype=planes.dtype)
    offsets = offsets.to(planes)
    y = (2 * (rows + offsets[:, 1:]) + 1) / height - 1  # (N, rows)
    x = (2 * (columns + offsets[:, :1]) + 1) / width - 1
    grid = torch.stack(
        [x[:, None].expand(-1, size[0], -1), y[:, :, None].expand(-1, -1, size[1])], dim=-1
    )  # (N, rows, columns, 2)
    return F.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
