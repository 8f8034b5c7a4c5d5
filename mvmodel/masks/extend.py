"""Makes mask sequences longer: every object goes on as it moved, with the shapes that it had."""

from __future__ import annotations

import cv2
import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.edit import replace_instances, scale_camera
from mvmodel.masks.geometry import centroids
from mvmodel.masks.limits import check_mask_size
from mvmodel.masks.sequence import MaskSequence


def extend(sequence: MaskSequence, frames: int, speed: float = 1.0) -> MaskSequence:
    """Adds `frames` frames in which every object goes on with its motion. The masks before them do not change.

    The way continues in the mean direction of the object's centres in the second half. Shapes, and what the centres
    deviate from a smooth curve, are played there and back from the last frame on, so that a gallop stays a gallop. An
    object that is out of the picture in the last frame stays out.

    speed: multiple of the speed at the end; 0 keeps the object in its place.

    Raises InputError for fewer than 1 frame, a negative speed, or more frames than may be made.
    """
    if frames < 1:
        raise InputError(f"extend adds at least 1 frame, not {frames}")
    if speed < 0:
        raise InputError(f"a speed is 0 or more, not {speed:g}")
    total = sequence.frames + frames
    check_mask_size("the edit extend", len(sequence.per_instance), total, sequence.height, sequence.width)
    instances = np.stack([_extend_masks(masks, frames, speed) for masks in sequence.per_instance])
    share = (total - 1) / max(1, sequence.frames - 1)
    return replace_instances(sequence, instances, camera=scale_camera(sequence, share, share))


def _extend_masks(masks: np.ndarray, frames: int, speed: float) -> np.ndarray:
    """One object's masks, bool (n, height, width), with `frames` more."""
    count, height, width = masks.shape
    added = np.zeros((frames, height, width), bool)
    visible = np.asarray(masks.any(axis=(1, 2)))
    first = count - 1
    while first > count // 2 and visible[first - 1]:
        first -= 1
    if visible[-1]:
        times = np.arange(first, count)
        centres = centroids(masks[first:])
        slope = np.polyfit(times, centres, 1)[0] if len(times) > 1 else np.zeros(2)
        degree = 2 if len(times) > 4 else min(1, len(times) - 1)
        powers = np.vander(times - times[-1], degree + 1)
        curve = powers @ np.linalg.lstsq(powers, centres, rcond=None)[0]
        deviations = centres - curve
        for number in range(frames):
            source = _reflect(len(times) - 2 - number, len(times))
            target = curve[-1] + speed * slope * (number + 1) + deviations[source]
            added[number] = _shift(masks[first + source], target - centres[source])
    return np.concatenate([masks, added])


def _reflect(index: int, length: int) -> int:
    """An index into `length` items that are played there and back."""
    if length == 1:
        return 0
    position = index % (2 * length - 2)
    return min(position, 2 * length - 2 - position)


def _shift(mask: np.ndarray, by: np.ndarray) -> np.ndarray:
    """A mask moved by x, y pixels, rounded; what leaves the picture is cut off."""
    matrix = np.column_stack([np.eye(2), np.round(by)])
    return cv2.warpAffine(mask.astype(np.uint8), matrix, mask.shape[::-1]) > 0
