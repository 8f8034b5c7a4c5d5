"""A draft of every frame: frame 1's objects, moved and deformed to fit the masks, for the early denoising steps."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F

ECC_ITERATIONS = 50
"""Upper limit of the refinement's iterations for one frame."""
ECC_BLUR = 3.0
"""Standard deviation in pixels of the blur under which two masks are aligned."""
MIN_AREA = 16
"""An object of fewer pixels, in frame 1 or in a later mask, gets no draft."""


def register_mask(source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """The affine motion (2, 3) that takes points of one mask to another; None if one of them is (nearly) empty.

    Centre and second moments give a first estimate, which enhanced correlation (`cv2.findTransformECC`) refines.
    source, target: bool (H, W).
    """
    if source.sum() < MIN_AREA or target.sum() < MIN_AREA:
        return None
    estimate = _match_moments(source, target)
    template, moving = (cv2.GaussianBlur(mask.astype(np.float32), (0, 0), ECC_BLUR) for mask in (source, target))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_ITERATIONS, 1e-4)
    try:
        _, refined = cv2.findTransformECC(template, moving, estimate.astype(np.float32), cv2.MOTION_AFFINE, criteria)
    except cv2.error:  # it did not converge: the masks are too different
        return estimate
    candidates = [estimate, np.asarray(refined, np.float64)]
    return max(candidates, key=lambda matrix: _overlap(source, target, matrix))


def _match_moments(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The affine motion with the smallest deformation that matches centre and covariance."""
    centres, roots = [], []
    for mask in (source, target):
        points = np.argwhere(mask)[:, ::-1].astype(np.float64)
        centres.append(points.mean(axis=0))
        values, vectors = np.linalg.eigh(np.cov(points.T) + 0.1 * np.eye(2))
        roots.append((vectors * np.sqrt(values)) @ vectors.T)
    linear = roots[1] @ np.linalg.inv(roots[0])
    return np.column_stack([linear, centres[1] - linear @ centres[0]])


def _overlap(source: np.ndarray, target: np.ndarray, matrix: np.ndarray) -> float:
    """IoU of the moved source with the target."""
    height, width = target.shape
    warped = cv2.warpAffine(source.astype(np.uint8), matrix, (width, height)) > 0
    return float((warped & target).sum() / max(1, (warped | target).sum()))


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
            matrix = register_mask(first_mask, mask)
            if matrix is None:
                continue
            picture = cv2.warpAffine(first_frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
            visible = (cv2.warpAffine(first_mask.astype(np.uint8), matrix, (width, height)) > 0) & mask
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
