"""Figures that say whether a mask sequence can be trusted."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict

from mvmodel.masks.geometry import centroid, mask_iou
from mvmodel.segmentation.config import QualityConfig


class MaskQuality(BaseModel):
    """coverage: mean share of the picture that is foreground. jitter: 1 - mean IoU of neighbouring masks after their
    centres are brought together. holes: share of the mask's filled area that is hole. border: share of frames whose
    mask touches the picture's border. missing: share of frames without a mask. confidence: mean quality of the frames'
    masks by the segmenter itself; salience: mean saliency (motion and appearance) of what the masks cover, by which a
    sure segmenter that follows a piece of the background is found out; both None for masks without a picture. weak:
    whether any of them is beyond its limit, and `reasons` says which."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    coverage: float
    jitter: float
    holes: float
    border: float
    missing: float
    confidence: float | None
    salience: float | None
    weak: bool
    reasons: list[str]


def measure_quality(
    masks: np.ndarray,
    confidence: list[float] | None = None,
    config: QualityConfig = QualityConfig(),
    salience: float | None = None,
) -> MaskQuality:
    """Figures of a mask sequence, bool (F, H, W).

    confidence: the segmenter's quality of every frame, 0..1, and salience: mean saliency of what the masks cover; both
    None for masks that came without a picture or a segmenter.
    """
    seen = [bool(mask.any()) for mask in masks]
    missing, coverage, jitter = 1 - float(np.mean(seen)), float(masks.mean()), _jitter(masks)
    figures: dict[str, float | None] = {
        "coverage": coverage,
        "jitter": jitter,
        "holes": float(np.mean([_holes(m) for m, s in zip(masks, seen, strict=True) if s])) if any(seen) else 0.0,
        "border": float(np.mean([_at_border(mask) for mask in masks])),
        "missing": missing,
        "confidence": None if confidence is None else float(np.mean(confidence)),
        "salience": salience,
    }
    reasons = []
    if missing > config.max_missing:
        reasons.append(f"no foreground in {missing:.0%} of the frames")
    if coverage < config.min_coverage:
        reasons.append(f"the foreground covers {coverage:.2%} of the picture")
    if jitter > config.max_jitter:
        reasons.append(f"the shape changes from frame to frame (jitter {jitter:.2f})")
    if confidence is not None and np.mean(confidence) < config.min_confidence:
        reasons.append(f"the segmenter is unsure (confidence {np.mean(confidence):.2f})")
    if salience is not None and any(seen) and salience < config.min_salience:
        reasons.append(f"what is masked neither moves nor stands out (salience {salience:.2f})")
    return MaskQuality(**figures, weak=bool(reasons), reasons=reasons)


def _centred(mask: np.ndarray) -> np.ndarray:
    column, row = centroid(mask)
    shift = (round(mask.shape[0] / 2 - row), round(mask.shape[1] / 2 - column))
    moved: np.ndarray = np.roll(mask, shift, axis=(0, 1))
    return moved


def _jitter(masks: np.ndarray) -> float:
    centred = [_centred(mask) if mask.any() else None for mask in masks]
    alike = [mask_iou(a, b) for a, b in pairwise(centred) if a is not None and b is not None]
    return 1 - float(np.mean(alike)) if alike else 0.0


def _holes(mask: np.ndarray) -> float:
    padded = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(padded, None, (0, 0), 2)
    holes = np.count_nonzero(padded == 0)
    return holes / (holes + np.count_nonzero(mask))


def _at_border(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
