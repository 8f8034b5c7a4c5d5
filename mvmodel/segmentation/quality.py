"""Metrics that say whether a mask sequence can be trusted."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict

from mvmodel.masks.geometry import centroid, mask_iou
from mvmodel.segmentation.config import QualityConfig


class MaskQuality(BaseModel):
    """Quality of a mask sequence."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    coverage: float
    """Mean share of the picture that is foreground."""
    jitter: float
    """1 - mean IoU of neighbouring masks after their centroids are aligned."""
    holes: float
    """Share of the filled mask that is hole."""
    border: float
    """Share of frames whose mask touches the picture's border."""
    missing: float
    """Share of frames without a mask."""
    confidence: float | None
    """Mean score of the frames' masks by the segmenter itself. None for masks that came without a segmenter."""
    salience: float | None
    """Mean saliency, of motion and appearance, inside the masks. It reveals a confident segmenter that follows a piece
    of the background. None for masks that came without frames."""
    weak: bool
    """Whether a value is beyond its limit."""
    reasons: list[str]
    """Which values are."""


def measure_quality(
    masks: np.ndarray,
    confidence: list[float] | None = None,
    config: QualityConfig = QualityConfig(),
    salience: float | None = None,
) -> MaskQuality:
    """Quality of a mask sequence.

    Args:
        masks: bool (frames, height, width).
        confidence: The segmenter's score of every frame, 0..1. None for masks that came without a segmenter.
        config: The limits.
        salience: Mean saliency inside the masks. None for masks that came without frames.
    """
    has_mask = [bool(mask.any()) for mask in masks]
    missing, coverage, jitter = 1 - float(np.mean(has_mask)), float(masks.mean()), _jitter(masks)
    holes = [_hole_fraction(mask) for mask in masks if mask.any()]
    mean_confidence = None if confidence is None else float(np.mean(confidence))
    reasons = []
    if missing > config.max_missing:
        reasons.append(f"no foreground in {missing:.0%} of the frames")
    if coverage < config.min_coverage:
        reasons.append(f"the foreground covers {coverage:.2%} of the picture")
    if jitter > config.max_jitter:
        reasons.append(f"the shape changes from frame to frame (jitter {jitter:.2f})")
    if mean_confidence is not None and mean_confidence < config.min_confidence:
        reasons.append(f"the segmenter is unsure (confidence {mean_confidence:.2f})")
    if salience is not None and any(has_mask) and salience < config.min_salience:
        reasons.append(f"what is masked neither moves nor stands out (salience {salience:.2f})")
    return MaskQuality(
        coverage=coverage,
        jitter=jitter,
        holes=float(np.mean(holes)) if holes else 0.0,
        border=float(np.mean([_touches_border(mask) for mask in masks])),
        missing=missing,
        confidence=mean_confidence,
        salience=salience,
        weak=bool(reasons),
        reasons=reasons,
    )


def _centre_mask(mask: np.ndarray) -> np.ndarray:
    """A mask that is not empty, rolled so that its centroid is in the middle of the picture."""
    x, y = centroid(mask)
    centred: np.ndarray = np.roll(mask, (round(mask.shape[0] / 2 - y), round(mask.shape[1] / 2 - x)), axis=(0, 1))
    return centred


def _jitter(masks: np.ndarray) -> float:
    centred = [_centre_mask(mask) if mask.any() else None for mask in masks]
    ious = [mask_iou(a, b) for a, b in pairwise(centred) if a is not None and b is not None]
    return 1 - float(np.mean(ious)) if ious else 0.0


def _hole_fraction(mask: np.ndarray) -> float:
    padded = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(padded, None, (0, 0), 2)
    holes = np.count_nonzero(padded == 0)
    return holes / (holes + np.count_nonzero(mask))


def _touches_border(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
