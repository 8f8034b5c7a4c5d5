"""From frames to a mask sequence: seeds where motion and segmenter agree, each carried both ways through the clip.

Every frame is encoded once, in batches; that encoding serves all prompts of the frame, of all objects.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import BaseModel, ConfigDict

from mvmodel.masks import MaskSequence
from mvmodel.segmentation.config import ExtractConfig
from mvmodel.segmentation.propagation import EncodedClip, track_object
from mvmodel.segmentation.quality import MaskQuality, measure_quality
from mvmodel.segmentation.saliency import Saliency
from mvmodel.segmentation.seeds import Seed, find_seed
from mvmodel.segmentation.segmenter import Segmenter
from mvmodel.video.frames import check_frames


class MaskExtraction(BaseModel):
    """What `extract` found.

    sequence: the masks; with instances, first found first, where there is more than one object. quality: its figures.
    confidence: the quality of every frame's mask, 0..1, of the first object; 0 where the mask was only carried.
    prompt: (frame, x, y) of the first point that was prompted, in pixels, None when nothing was found.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    sequence: MaskSequence
    quality: MaskQuality
    confidence: list[float]
    prompt: tuple[int, float, float] | None = None


def extract_masks(
    frames: np.ndarray,
    segmenter: Segmenter,
    config: ExtractConfig = ExtractConfig(),
    fps: float = 8.0,
    progress: Callable[[int, int], None] | None = None,
) -> MaskExtraction:
    """Find and follow the foreground of a clip: one object, or several that move.

    frames: uint8 RGB (F, H, W, 3). progress is called with (frames done, frames in all) of the first object. Returns
    masks of the frames' size; all empty, and flagged weak, when nothing is found. Raises InputError for arrays of
    another kind.
    """
    check_frames(frames)
    salient = Saliency(frames, config.saliency)
    clip = EncodedClip(frames, segmenter, config)
    first = find_seed(clip, salient)
    if first is None:
        nothing = np.zeros(frames.shape[:3], bool)
        confidence = [0.0] * len(frames)
        quality = measure_quality(nothing, confidence, config.quality)
        return MaskExtraction(sequence=MaskSequence(nothing, fps), quality=quality, confidence=confidence)
    done = iter(range(2, len(frames) + 1))
    tell = (lambda: progress(next(done), len(frames))) if progress else None
    masks, confidence = track_object(clip, salient, first.frame, first.mask, first.score, tell)
    objects = [masks, *_others(clip, salient, first, masks)]
    sequence = MaskSequence(masks, fps) if len(objects) == 1 else MaskSequence.of_instances(np.stack(objects), fps)
    return MaskExtraction(
        sequence=sequence,
        quality=measure_quality(sequence.masks, confidence, config.quality, mean_saliency(salient, sequence.masks)),
        confidence=confidence,
        prompt=first.prompt,
    )


def _others(clip: EncodedClip, salient: Saliency, first: Seed, masks: np.ndarray) -> list[np.ndarray]:
    """Further objects: each explains saliency that those before it leave, at its seed and over the whole clip."""
    if not salient.moving:
        return []  # appearance alone cannot tell a second object from scenery
    taken, found = masks, list[np.ndarray]()
    least = clip.config.min_motion_ratio * motion_strength(salient, masks)
    while len(found) + 1 < clip.config.max_objects:
        seed = find_seed(clip, salient, taken)
        if seed is None or seed.value < clip.config.min_extra_saliency * first.value:
            break
        other, confidence = track_object(clip, salient, seed.frame, seed.mask, seed.score)
        other &= ~taken
        if motion_strength(salient, other) < least or float(np.mean(confidence)) < clip.config.min_score:
            break
        found.append(other)
        taken = taken | other
    return found


def mean_saliency(salient: Saliency, masks: np.ndarray) -> float:
    """Mean saliency of what masks, bool (F, H, W), cover, 0..1, over the frames that have a mask."""
    size = masks.shape[1], masks.shape[2]
    inside = [salient.at(index, size)[mask].mean() for index, mask in enumerate(masks) if mask.any()]
    return float(np.mean(inside)) if inside else 0.0


def motion_strength(salient: Saliency, masks: np.ndarray) -> float:
    """Mean motion saliency inside masks, bool (F, H, W), over the frames; a frame without a mask counts 0."""
    size = masks.shape[1], masks.shape[2]
    inside = [salient.at(i, size, motion_only=True)[mask].mean() if mask.any() else 0.0 for i, mask in enumerate(masks)]
    return float(np.mean(inside))
