"""From frames to a mask sequence: seeds where motion and segmenter agree, each tracked through the clip.

Every frame is encoded once, in batches. The encoding serves all prompts of the frame, for all objects.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import BaseModel, ConfigDict

from mvmodel.masks import MaskSequence
from mvmodel.progress import start_task
from mvmodel.segmentation.config import ExtractConfig
from mvmodel.segmentation.propagation import EncodedClip, track_object
from mvmodel.segmentation.protocols import SegmenterProtocol, VideoTracker
from mvmodel.segmentation.quality import MaskQuality, measure_quality
from mvmodel.segmentation.saliency import Saliency
from mvmodel.segmentation.seeds import Seed, find_seed
from mvmodel.segmentation.u2net import SaliencyEncoding
from mvmodel.video.frames import check_frames


class MaskExtraction(BaseModel):
    """The result of `extract_masks`.

    sequence: the masks, with instances if there are several objects, in the order in which they were found. quality:
    the quality of the masks. confidence: the segmenter's score of the first object's mask in every frame, 0..1; 0 where
    the mask was only propagated. prompt: (frame, x, y), in pixels, of the first prompted point, or None if nothing was
    found.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    sequence: MaskSequence
    quality: MaskQuality
    confidence: list[float]
    prompt: tuple[int, float, float] | None = None


def extract_masks(
    frames: np.ndarray,
    segmenter: SegmenterProtocol,
    config: ExtractConfig = ExtractConfig(),
    fps: float = 8.0,
    progress: Callable[[int, int], None] | None = None,
) -> MaskExtraction:
    """Finds and tracks the foreground of a clip: one object, or several that move.

    Args:
        frames: uint8 RGB (frames, height, width, 3).
        segmenter: Encodes the frames and answers prompts.
        config: Settings.
        fps: Frame rate of the result.
        progress: Called with (frames done, all frames) while the first object is tracked.

    Returns:
        Masks of the frames' size. If nothing is found, they are all empty and the quality is marked as weak.

    Raises:
        InputError: The frames have another shape or dtype.
    """
    check_frames(frames)
    with start_task("extract masks", 4) as advance:
        saliency = Saliency(frames, config.saliency)
        advance()
        clip = EncodedClip(frames, segmenter, config)
        advance()
        seed = find_seed(clip, saliency)
        if seed is None:
            empty_masks = np.zeros(frames.shape[:3], bool)
            confidence = [0.0] * len(frames)
            quality = measure_quality(empty_masks, confidence, config.quality)
            return MaskExtraction(sequence=MaskSequence(empty_masks, fps), quality=quality, confidence=confidence)
        counter = iter(range(2, len(frames) + 1))
        report = (lambda: progress(next(counter), len(frames))) if progress else None
        masks, confidence = track_from_seed(clip, saliency, seed, report)
        advance()
        objects = [masks, *_track_further_objects(clip, saliency, seed, masks)]
    sequence = MaskSequence(masks, fps) if len(objects) == 1 else MaskSequence.from_instances(np.stack(objects), fps)
    return MaskExtraction(
        sequence=sequence,
        quality=measure_quality(
            sequence.masks, confidence, config.quality, _measure_clip_salience(clip, saliency, sequence.masks)
        ),
        confidence=confidence,
        prompt=seed.prompt,
    )


def track_from_seed(
    clip: EncodedClip, saliency: Saliency, seed: Seed, progress: Callable[[], None] | None = None
) -> tuple[np.ndarray, list[float]]:
    """Masks and scores of a seed's object, by the segmenter's own tracker if it has one."""
    if isinstance(clip.segmenter, VideoTracker):
        return clip.segmenter.track(clip.frames, seed.frame, seed.mask, progress)
    return track_object(clip, saliency, seed.frame, seed.mask, seed.score, progress)


def _track_further_objects(
    clip: EncodedClip, saliency: Saliency, first_seed: Seed, first_masks: np.ndarray
) -> list[np.ndarray]:
    """Further objects: each explains saliency that the objects before it do not, at its seed and over the clip."""
    if not saliency.moving:
        return []  # appearance alone cannot tell a second object from the scenery
    config = clip.config
    all_masks, objects = first_masks, list[np.ndarray]()
    min_motion = config.min_motion_ratio * motion_strength(saliency, first_masks)
    while len(objects) + 1 < config.max_objects:
        seed = find_seed(clip, saliency, all_masks)
        if seed is None or seed.value < config.min_extra_saliency * first_seed.value:
            break
        masks, confidence = track_from_seed(clip, saliency, seed)
        masks &= ~all_masks
        if motion_strength(saliency, masks) < min_motion or float(np.mean(confidence)) < config.min_score:
            break
        objects.append(masks)
        all_masks = all_masks | masks
    return objects


def measure_salience(frames: np.ndarray, masks: np.ndarray, config: ExtractConfig = ExtractConfig()) -> float:
    """The `salience` of a clip's masks, as `extract_masks` measures it without a segmenter's opinion, 0..1.

    frames: uint8 RGB (frames, height, width, 3). masks: bool (frames, height, width).
    """
    return mean_saliency(Saliency(frames, config.saliency), masks)


def _measure_clip_salience(clip: EncodedClip, saliency: Saliency, masks: np.ndarray) -> float:
    """Mean saliency inside masks, or the mean probability of a segmenter of salient objects where that is higher.

    Somebody who fills the picture and hardly moves differs little from the border, but is what the picture shows.
    """
    salience, encodings = mean_saliency(saliency, masks), clip.encodings
    means = [
        float(encoding.probabilities[mask].mean())
        for encoding, mask in zip(encodings, masks, strict=True)
        if isinstance(encoding, SaliencyEncoding) and mask.any()
    ]
    return max(salience, float(np.mean(means))) if means else salience


def mean_saliency(saliency: Saliency, masks: np.ndarray) -> float:
    """Mean saliency inside masks, bool (frames, height, width), over the frames that have a mask, 0..1."""
    size = masks.shape[1], masks.shape[2]
    means = [saliency.at(index, size)[mask].mean() for index, mask in enumerate(masks) if mask.any()]
    return float(np.mean(means)) if means else 0.0


def motion_strength(saliency: Saliency, masks: np.ndarray) -> float:
    """Mean motion saliency inside masks, bool (frames, height, width). A frame without a mask counts as 0."""
    size = masks.shape[1], masks.shape[2]
    means = [
        saliency.at(index, size, motion_only=True)[mask].mean() if mask.any() else 0.0
        for index, mask in enumerate(masks)
    ]
    return float(np.mean(means))
