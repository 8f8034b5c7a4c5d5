"""Edits that take a second thing: key masks, another shape, another motion, another sequence, another size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.distance import interpolate_shapes
from mvmodel.masks.edit import map_instances, replace_instances
from mvmodel.masks.geometry import centroid
from mvmodel.masks.poses import Poses, estimate_poses, place_shape
from mvmodel.masks.sequence import MaskSequence

Easing = Callable[[np.ndarray], np.ndarray]


def interpolate(
    keys: Mapping[int, np.ndarray], frames: int, fps: float = 8.0, easing: Easing | None = None
) -> MaskSequence:
    """Shapes between key masks, by signed distance about their centres; a key mask comes out as it went in.

    keys: frame number -> bool (height, width). Before the first key and after the last one it stands still.
    easing: maps the share of the way between two keys, 0..1, to another share.
    """
    if not keys:
        raise InputError("give at least one key mask")
    places = sorted(keys)
    shapes = {keys[place].shape for place in places}
    if len(shapes) != 1 or any(keys[place].ndim != 2 or keys[place].dtype != np.bool_ for place in places):
        raise InputError(f"key masks are bool arrays (height, width) of one size, not {sorted(map(str, shapes))}")
    if places[0] < 0 or places[-1] >= frames:
        raise InputError(f"the key frames {places} do not lie in a sequence of {frames} frames (0 to {frames - 1})")
    out = np.zeros((frames, *keys[places[0]].shape), bool)
    out[: places[0] + 1], out[places[-1] :] = keys[places[0]], keys[places[-1]]
    for first, last in pairwise(places):
        share = np.arange(last - first + 1) / (last - first)
        eased = share if easing is None else easing(share)
        out[first : last + 1] = interpolate_shapes(keys[first], keys[last], np.clip(eased, 0, 1))
        out[first], out[last] = keys[first], keys[last]
    return MaskSequence(out, fps)


def replace_shape(sequence: MaskSequence, shape: np.ndarray) -> MaskSequence:
    """Keep the motion, put another shape in: as large as the old one was at first, where it was, moved as it moved.

    shape: bool (h, w) of any size, not empty.
    """
    if not shape.any():
        raise InputError("the new shape is empty; give a mask with a foreground")

    def replaced(masks: np.ndarray) -> np.ndarray:
        if not masks.any():
            return masks
        poses = estimate_poses(masks)
        first = masks[np.flatnonzero(masks.any(axis=(1, 2)))[0]]
        size = np.sqrt(first.sum() / shape.sum())
        larger = Poses(poses.x, poses.y, poses.scale_x * size, poses.scale_y * size, poses.angle)
        laid = place_shape(shape, larger, masks.shape[1:])
        laid[~masks.any(axis=(1, 2))] = False
        return laid

    return map_instances(sequence, replaced)


def replace_motion(sequence: MaskSequence, motion: MaskSequence, reach: float = 1.0) -> MaskSequence:
    """Keep the first shape and where it stands, move it as `motion` moves: the way, the growth and the turning.

    The motion's way is taken in shares of its picture, times `reach`. The result has the motion's frames and rate.
    """
    poses = estimate_poses(motion.masks)
    x = (poses.x - poses.x[0]) * reach * sequence.width / motion.width
    y = (poses.y - poses.y[0]) * reach * sequence.height / motion.height

    def moved(masks: np.ndarray) -> np.ndarray:
        seen = np.flatnonzero(masks.any(axis=(1, 2)))
        if not len(seen):
            return np.zeros((motion.frames, *masks.shape[1:]), bool)
        shape = masks[seen[0]]
        at = centroid(shape)
        own = Poses(x + at[0], y + at[1], poses.scale_x, poses.scale_y, poses.angle)
        return place_shape(shape, own, masks.shape[1:])

    return replace_instances(sequence, np.stack([moved(masks) for masks in sequence.per_instance]), motion.fps)


def combine(first: MaskSequence, second: MaskSequence) -> MaskSequence:
    """Both in one picture, their objects as instances, the second's in front. Sizes, frames and rates must agree."""
    if first.masks.shape != second.masks.shape or abs(first.fps - second.fps) > 1e-6:
        raise InputError(
            f"two sequences go together when they have one size, length and rate, not {first.frames} frames of "
            f"{first.width}x{first.height} at {first.fps:g} and {second.frames} of {second.width}x{second.height} at "
            f"{second.fps:g}; retime and resize one of them"
        )
    both = np.concatenate([first.per_instance, second.per_instance])
    return MaskSequence.from_instances(both, first.fps, (*(first.names or ("",)), *(second.names or ("",))))


def resize(sequence: MaskSequence, height: int, width: int) -> MaskSequence:
    """Bring the picture to another size: scaled evenly so that all of it fits, centred, the rest background."""
    import cv2

    if min(height, width) < 1:
        raise InputError(f"a size is at least 1x1 pixels, not {width}x{height}")
    if (height, width) == (sequence.height, sequence.width):
        return sequence
    factor = min(height / sequence.height, width / sequence.width)
    new = max(1, round(sequence.width * factor)), max(1, round(sequence.height * factor))
    left, top = (width - new[0]) // 2, (height - new[1]) // 2

    def resized(masks: np.ndarray) -> np.ndarray:
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        out = np.zeros((len(masks), height, width), bool)
        for index, mask in enumerate(masks):
            small = cv2.resize(mask.astype(np.float32), new, interpolation=how) >= 0.5
            out[index, top : top + new[1], left : left + new[0]] = small
        return out

    return map_instances(sequence, resized)
