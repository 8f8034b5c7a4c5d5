"""A draft of every frame: frame 1's objects, moved and deformed to fit the masks, for the early denoising steps."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from mvmodel.masks.registration import move_object


def inpaint_objects(picture: np.ndarray, masks: Sequence[np.ndarray]) -> np.ndarray:
    """A picture, uint8 (H, W, 3), with its surroundings continued into the objects. masks: bool (H, W) each."""
    hole = cv2.dilate(np.logical_or.reduce(list(masks)).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.inpaint(picture, hole, 3, cv2.INPAINT_TELEA))


def draw_drafts(
    first_frame: np.ndarray, first_masks: Sequence[np.ndarray], masks: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Frame 1's objects at the places of later masks, in front of frame 1 without its objects.

    Args:
        first_frame: uint8 (H, W, 3).
        first_masks: Each object's mask in frame 1, bool (H, W).
        masks: Each object's masks in the later frames, bool (F, H, W).

    Returns:
        Pictures, uint8 (F, H, W, 3), and where they show an object inside its mask, bool (F, H, W).
    """
    height, width = first_frame.shape[:2]
    empty = inpaint_objects(first_frame, first_masks)
    frames = len(masks[0])
    pictures, coverage_masks = np.repeat(empty[None], frames, axis=0), np.zeros((frames, height, width), bool)
    for first_mask, later in zip(first_masks, masks, strict=True):
        for index, mask in enumerate(later):
            moved_object = move_object(first_frame, first_mask, mask)
            if moved_object is None:
                continue
            picture, visible = moved_object
            pictures[index][visible] = picture[visible]
            coverage_masks[index] |= visible
    return pictures, coverage_masks


class DraftGuide:
    """Pulls the objects to their drafts in the early steps, as SDEdit starts from a rough picture.

    Args:
        latents: Latents of the drafts, (B, F, C, h, w).
        coverage_masks: Where the drafts show an object, float 0/1 (B, F, H, W).
        strength: 0 changes nothing, 1 replaces the prediction.
        end: Share of the steps after which the model is left alone.
    """

    def __init__(self, latents: torch.Tensor, coverage_masks: torch.Tensor, strength: float, end: float) -> None:
        size = (latents.shape[-2], latents.shape[-1])
        coverage = F.adaptive_avg_pool2d(coverage_masks.flatten(0, 1)[:, None], size).unflatten(
            0, coverage_masks.shape[:2]
        )
        self.latents, self.weights, self.end = latents.float(), strength * coverage.float(), end

    def __call__(self, clean: torch.Tensor, progress: float) -> torch.Tensor:
        if progress >= self.end:
            return clean
        return clean + self.weights * (self.latents - clean)
