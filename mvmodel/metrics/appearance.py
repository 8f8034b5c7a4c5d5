"""Appearance: how alike the frames are, how well they fit the prompt, how far the colours drift.

Embeddings come from `Scorer.images` and `Scorer.texts` and have length 1, so a dot product is a cosine. None of these
metrics says anything about motion: a still video reaches 1.0 in every consistency. Print `motion` next to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.registration import move_object

if TYPE_CHECKING:
    from mvmodel.metrics.protocols import ScorerProtocol

GREY = 128
"""The neutral colour of everything that the scorer should ignore."""
IDENTITY_SIDE = 512
"""Longer side in pixels of the frames that `identity` compares; registration takes long on larger ones."""


def _check_frame_count(embeddings: np.ndarray) -> None:
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise InputError(f"consistency compares frames and needs two or more, not an array {embeddings.shape}")


def consistency(embeddings: np.ndarray) -> float:
    """Mean cosine over all pairs of frames i < j. Range -1..1, higher is more alike.

    embeddings: float (frames, size), rows of length 1. The convention of Tune-A-Video and LAMP.
    """
    _check_frame_count(embeddings)
    gram = embeddings.astype(np.float64) @ embeddings.T.astype(np.float64)
    frames = len(embeddings)
    return float((gram.sum() - np.trace(gram)) / (frames * (frames - 1)))


def consistency_adjacent(embeddings: np.ndarray) -> float:
    """Mean cosine of neighbouring frames. Range -1..1, higher is smoother. FateZero's temporal consistency."""
    _check_frame_count(embeddings)
    return float(np.mean(np.sum(embeddings[:-1].astype(np.float64) * embeddings[1:], axis=1)))


def consistency_first(embeddings: np.ndarray) -> float:
    """Mean cosine of every later frame with frame 1. Range -1..1, higher stays closer to the first frame."""
    _check_frame_count(embeddings)
    return float(np.mean(embeddings[1:].astype(np.float64) @ embeddings[0].astype(np.float64)))


def consistency_vbench(embeddings: np.ndarray) -> float:
    """Mean over later frames of (max(0, cos to the frame before) + max(0, cos to frame 1)) / 2. Range 0..1.

    embeddings: (frames, size), rows of length 1. VBench's subject and background consistency, with our scorer in place
    of its DINO and CLIP weights: the same formula, not the same numbers.
    """
    _check_frame_count(embeddings)
    rows = embeddings.astype(np.float64)
    previous = np.sum(rows[:-1] * rows[1:], axis=1).clip(min=0)
    first = (rows[1:] @ rows[0]).clip(min=0)
    return float(np.mean((previous + first) / 2))


def diversity(videos: Sequence[np.ndarray]) -> float:
    """How alike videos of one prompt and several seeds are: mean cosine of their mean frame embeddings, all pairs.

    videos: embeddings (frames, size) of every video. Range -1..1, LOWER is more diverse, 1 is the same video again.
    LAMP's diversity (there times 100). Raises InputError for fewer than two videos.
    """
    if len(videos) < 2:
        raise InputError("diversity compares videos of several seeds; give two or more")
    means = np.stack([np.asarray(rows, np.float64).mean(axis=0) for rows in videos])
    return consistency(means / np.linalg.norm(means, axis=1, keepdims=True))


def without_foreground(frames: np.ndarray, foreground: np.ndarray) -> np.ndarray | None:
    """The background alone: every pixel that the foreground ever covers is grey in every frame. uint8, as `frames`.

    frames: uint8 (frames, height, width, 3). foreground: bool (frames, height, width). One hole for the whole video,
    so that the hole's own path is no part of what is compared. None when less than a tenth of the picture is left.
    """
    ever: np.ndarray = np.asarray(foreground.any(axis=0))
    if ever.mean() > 0.9:
        return None
    return np.where(ever[None, ..., None], np.uint8(GREY), frames)


def consistency_background(frames: np.ndarray, foreground: np.ndarray, scorer: ScorerProtocol) -> float:
    """`consistency` of `without_foreground`. Range -1..1, higher is more alike; NaN when too little ground is left.

    frames: uint8 (frames, height, width, 3). foreground: bool (frames, height, width). VBench's background consistency
    asks the same with CLIP on whole frames, object and all.
    """
    background = without_foreground(frames, foreground)
    return consistency(scorer.images(background)) if background is not None else float("nan")


def alignment(embeddings: np.ndarray, text: np.ndarray) -> float:
    """Mean cosine of the frames with the prompt. Range -1..1, higher fits better.

    embeddings: (frames, size). text: (size,), both of length 1. Only comparable between videos scored by one model.
    """
    return float(np.mean(embeddings.astype(np.float64) @ text.astype(np.float64)))


def to_lab(frames: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of uint8 RGB frames: float32, same shape, L 0..100, a and b about -128..127."""
    return np.stack([cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for frame in frames])


def colour_distances(frames: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
    """Mean CIELAB distance (CIE76) of every later frame to frame 1, pixel by pixel outside the masks: (frames - 1,).

    frames: uint8 (frames, height, width, 3). masks: bool (frames, height, width), or None for the whole picture; a
    pixel counts in frame i when neither mask 1 nor mask i covers it. Range 0..about 150; NaN where no pixel counts.
    """
    colours = to_lab(frames)
    out = np.full(max(0, len(frames) - 1), np.nan)
    for index in range(1, len(frames)):
        distance = np.linalg.norm(colours[index] - colours[0], axis=-1)
        if masks is not None:
            distance = distance[~(masks[0] | masks[index])]
        if distance.size:
            out[index - 1] = distance.mean()
    return out


def colour_drift(frames: np.ndarray, masks: np.ndarray | None = None) -> float:
    """Mean of `colour_distances` over the later frames: how far the colours wander from frame 1.

    frames, masks: as there. Range 0..about 150, lower is steadier, 0 is no drift, 2 is just visible. A moving camera
    counts as drift: compare videos that share a camera. NaN when masks leave no pixel. No paper's formula: it is the
    quantity that shared noise is meant to lower (paper, Eq. 8), which its authors show in pictures alone.
    """
    distances = colour_distances(frames, masks)
    return float(np.nanmean(distances)) if np.isfinite(distances).any() else float("nan")


def colour_drift_frame_2(frames: np.ndarray, masks: np.ndarray | None = None) -> float:
    """`colour_distances` of frame 2 alone: the jump that a viewer sees first. NaN when masks leave no pixel."""
    return float(colour_distances(frames[:2], None if masks is None else masks[:2])[0])


def identity(frames: np.ndarray, masks: np.ndarray) -> float:
    """Mean CIELAB distance (CIE76) of the object to its look in frame 1, inside the masks: does it stay the same one?

    Frame 1's object is moved by the affine motion that takes mask 1 to mask i (`register_mask`), and compared with
    frame i pixel by pixel where it lies inside mask i. Range 0..about 150, lower is the same object, 0 a moved copy of
    it. A turn of the object and moving limbs count as change: compare videos of the same masks. Objects that the masks
    do not tell apart are registered as one.

    frames: uint8 (frames, height, width, 3), measured at no more than `IDENTITY_SIDE` pixels a side. masks: bool
    (frames, height, width). NaN when frame 1 or all later frames have no object to compare.
    """
    height, width = masks.shape[1:]
    factor = min(1.0, IDENTITY_SIDE / max(height, width))
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        frames = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
        masks = (
            np.stack([cv2.resize(m.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) for m in masks]) > 127
        )
    distances = []
    for frame, mask in zip(frames[1:], masks[1:], strict=True):
        moved_object = move_object(frames[0], masks[0], mask)
        if moved_object is not None:
            picture, visible = moved_object
            colours, first_colours = to_lab(np.stack([frame, picture]))
            distances.append(np.linalg.norm(colours - first_colours, axis=-1)[visible])
    pixels = np.concatenate(distances) if distances else np.empty(0, np.float32)
    return float(pixels.mean()) if pixels.size else float("nan")
