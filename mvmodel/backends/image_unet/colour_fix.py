"""Gives decoded frames the tints that the autoencoder took from frame 1."""

from __future__ import annotations

import cv2
import numpy as np

from mvmodel.backends.generation_config import ColorFix

SMOOTHNESS = 1 / 16
"""Standard deviation of the low-pass filter, as a share of the picture's shorter side."""


def estimate_tint(first_frame: np.ndarray, decoded: np.ndarray, first_mask: np.ndarray, mode: ColorFix) -> np.ndarray:
    """What the autoencoder takes away from the background of frame 1: float32 (H, W, 3), smooth in space.

    Args:
        first_frame: float32 (H, W, 3), 0..1.
        decoded: The same picture after encoding and decoding.
        first_mask: bool (H, W). Inside of it the tint of the background around it is continued.
        mode: "lowpass" depends on the place, "mean" is one colour, "none" is 0 everywhere.
    """
    difference = (first_frame - decoded).astype(np.float32)
    background = (~first_mask).astype(np.float32)
    if mode == "none" or not background.any():
        return np.zeros_like(difference)
    if mode == "mean":
        return np.broadcast_to(difference[~first_mask].mean(axis=0), difference.shape).astype(np.float32)
    sigma = SMOOTHNESS * min(first_mask.shape)
    weighted = cv2.GaussianBlur(difference * background[..., None], (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    weights = cv2.GaussianBlur(background, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    mean = difference[~first_mask].mean(axis=0)
    certainty = np.clip(weights / 0.05, 0, 1)[..., None]  # deep inside a large object the filter reaches no background
    tint = certainty * weighted / np.maximum(weights, 1e-6)[..., None] + (1 - certainty) * mean
    return np.asarray(tint, dtype=np.float32)
