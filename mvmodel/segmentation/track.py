"""From frames to a mask sequence: a seed where motion and segmenter agree, carried both ways through the clip.

Every frame is encoded once; that encoding serves all prompts of the frame. From the best frame the mask goes forward
and backward: moved by the flow inside it, refined by the segmenter with the moved mask as prior, tested by the
segmenter's own quality and by how far it strays. A lost object is looked for among the automatic masks by its looks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.segmentation.quality import MaskQuality, QualityConfig, measure
from mvmodel.segmentation.saliency import Saliency, SaliencyConfig, agreement
from mvmodel.segmentation.segmenter import Candidate, Encoding, Segmenter, box_of, inner_point, mask_iou


class ExtractConfig(BaseModel):
    """How foreground is found and followed. Areas are shares of the picture, thresholds shares of 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    saliency: SaliencyConfig = SaliencyConfig()
    quality: QualityConfig = QualityConfig()
    seed_frames: int = Field(6, ge=1)
    """Frames, spread over the clip, in which a seed is looked for."""
    smallest: float = Field(0.003, ge=0, le=1)
    largest: float = Field(0.6, ge=0, le=1)
    keep_score: float = Field(0.5, ge=0, le=1)
    """Least segmenter quality at which a refined mask is believed."""
    keep_overlap: float = Field(0.35, ge=0, le=1)
    """Least IoU of a refined mask with the mask that the flow carried here."""
    find_looks: float = Field(0.5, ge=0, le=1)
    """Least likeness of colours at which a lost object counts as found again."""


class Extraction(BaseModel):
    """What `extract` found. confidence: the quality of every frame's mask, 0..1; 0 where the mask was only carried."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    sequence: MaskSequence
    quality: MaskQuality
    confidence: list[float]


class _Frames:
    """A clip with its encodings and automatic masks, each computed once and when first asked for."""

    def __init__(self, frames: np.ndarray, segmenter: Segmenter, config: ExtractConfig) -> None:
        self.frames = frames
        self.segmenter = segmenter
        self.config = config
        self.encodings: list[Encoding] = segmenter.encode(frames)
        self._candidates: dict[int, list[Candidate]] = {}

    def candidates(self, index: int) -> list[Candidate]:
        if index not in self._candidates:
            found = self.segmenter.automatic(self.encodings[index])
            low, high = self.config.smallest, self.config.largest
            self._candidates[index] = [c for c in found if low <= c.mask.mean() <= high]
        return self._candidates[index]


def extract(
    frames: np.ndarray,
    segmenter: Segmenter,
    config: ExtractConfig = ExtractConfig(),
    fps: float = 8.0,
    progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Find and follow the foreground of a clip.

    frames: uint8 RGB (F, H, W, 3). Returns masks of the frames' size; all empty, and flagged weak, when nothing is
    found. Raises InputError for arrays of another kind.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise InputError(f"frames are uint8 (frames, height, width, 3), not {frames.dtype} {frames.shape}")
    salient = Saliency(frames, config.saliency)
    clip = _Frames(frames, segmenter, config)
    masks = np.zeros(frames.shape[:3], bool)
    confidence = [0.0] * len(frames)
    seed = _seed(clip, salient)
    if seed is not None:
        start, mask, score = seed
        masks[start], confidence[start] = mask, score
        looks = _looks(frames[start], mask)
        for step in (1, -1):
            _follow(clip, salient, masks, confidence, start, step, looks, progress)
    return Extraction(
        sequence=MaskSequence(masks, fps), quality=measure(masks, confidence, config.quality), confidence=confidence
    )


def _seed(clip: _Frames, salient: Saliency) -> tuple[int, np.ndarray, float] | None:
    """The frame, mask and score where a segmenter's mask explains the saliency best."""
    count = len(clip.frames)
    picks = np.unique(np.linspace(0, count - 1, min(count, clip.config.seed_frames)).round().astype(int))
    best: tuple[float, int, np.ndarray, float] | None = None
    for index in (int(i) for i in picks):
        wanted = salient.at(index, clip.frames.shape[1:3])
        found = [(c.mask, c.score) for c in clip.candidates(index)] + _at_peak(clip, index, wanted)
        for mask, score in found:
            value = agreement(mask, wanted) * float(score)
            if best is None or value > best[0]:
                best = (value, index, mask, float(score))
    return None if best is None else best[1:]


def _at_peak(clip: _Frames, index: int, wanted: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Masks for a point prompt in the middle of the strongest salient region."""
    if wanted.max() <= 0:
        return []
    count, labels = cv2.connectedComponents((wanted > 0.5 * wanted.max()).astype(np.uint8))
    if count < 2:
        return []
    weights = [wanted[labels == part].sum() for part in range(1, count)]
    point = inner_point(labels == 1 + int(np.argmax(weights)))
    masks, scores = clip.segmenter.predict(clip.encodings[index], points=point[None])
    low, high = clip.config.smallest, clip.config.largest
    return [(m, float(s)) for m, s in zip(masks, scores, strict=True) if low <= m.mean() <= high]


def _follow(
    clip: _Frames,
    salient: Saliency,
    masks: np.ndarray,
    confidence: list[float],
    start: int,
    step: int,
    looks: np.ndarray,
    progress: Callable[[int, int], None] | None,
) -> None:
    last = start
    for index in range(start + step, len(masks) if step > 0 else -1, step):
        carried = salient.carry(masks[last], last, index)
        found = _refine(clip, index, carried) or _recover(clip, index, looks)
        if found is not None:
            masks[index], confidence[index] = found
            last = index
        elif carried.mean() >= clip.config.smallest:
            masks[index] = carried
            last = index
        if progress:
            progress(sum(bool(m.any()) for m in masks), len(masks))


def _refine(clip: _Frames, index: int, carried: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The segmenter's mask nearest to the carried one, or None when none is good and near enough."""
    if carried.mean() < clip.config.smallest:
        return None
    left, top, right, bottom = box_of(carried)
    grow = 0.06 * max(right - left, bottom - top)
    height, width = carried.shape
    box = np.array([max(0, left - grow), max(0, top - grow), min(width, right + grow), min(height, bottom + grow)])
    point = inner_point(carried)[None]
    encoding = clip.encodings[index]
    proposals: list[tuple[np.ndarray, float]] = []
    prompts: tuple[dict[str, Any], ...] = ({"points": point, "prior": carried}, {"box": box}, {"points": point})
    for prompt in prompts:
        found, scores = clip.segmenter.predict(encoding, **prompt)
        proposals += [(m, float(s)) for m, s in zip(found, scores, strict=True)]
    best: tuple[float, np.ndarray, float] | None = None
    for mask, score in proposals:
        near = mask_iou(mask, carried)
        if score < clip.config.keep_score or near < clip.config.keep_overlap:
            continue
        if best is None or score + 0.5 * near > best[0]:
            best = (score + 0.5 * near, mask, score)
    return None if best is None else best[1:]


def _recover(clip: _Frames, index: int, looks: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The automatic mask that looks most like the object, or None when none looks like it."""
    best: tuple[float, np.ndarray, float] | None = None
    for candidate in clip.candidates(index):
        likeness = float(np.minimum(looks, _looks(clip.frames[index], candidate.mask)).sum())
        if likeness >= clip.config.find_looks and (best is None or likeness > best[0]):
            best = (likeness, candidate.mask, candidate.score)
    return None if best is None else best[1:]


def _looks(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Colours inside a mask: a histogram over 4 x 8 x 8 CIELAB cells that sums to 1."""
    lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)
    counts = cv2.calcHist([lab], [0, 1, 2], mask.astype(np.uint8), [4, 8, 8], [0, 256, 0, 256, 0, 256]).ravel()
    shares: np.ndarray = counts / max(1.0, float(counts.sum()))
    return shares
