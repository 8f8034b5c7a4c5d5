"""Edits with a second input: key masks, another shape, another motion, another sequence, another size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.edit import map_instances, replace_instances, scale_camera
from mvmodel.masks.geometry import centroid
from mvmodel.masks.limits import check_mask_size
from mvmodel.masks.poses import Poses, estimate_poses, place_shape
from mvmodel.masks.sequence import MaskSequence
from mvmodel.masks.signed_distance import interpolate_shapes

Easing = Callable[[np.ndarray], np.ndarray]


def interpolate(
    keys: Mapping[int, np.ndarray], frames: int, fps: float = 8.0, easing: Easing | None = None
) -> MaskSequence:
    """Interpolates key masks by their signed distances about their centres. Key masks stay unchanged.

    Args:
        keys: Frame number -> bool (height, width). The shape rests before the first key and after the last one.
        frames: Number of frames of the result.
        fps: Frame rate of the result.
        easing: Maps the progress between two keys, 0..1, to another progress.
    """
    if not keys:
        raise InputError("give at least one key mask")
    indices = sorted(keys)
    shapes = {mask.shape for mask in keys.values()}
    if len(shapes) != 1 or any(mask.ndim != 2 or mask.dtype != np.bool_ for mask in keys.values()):
        raise InputError(f"key masks are bool arrays (height, width) of one size, not {sorted(map(str, shapes))}")
    if indices[0] < 0 or indices[-1] >= frames:
        raise InputError(f"the key frames {indices} do not lie in a sequence of {frames} frames (0 to {frames - 1})")
    out = np.zeros((frames, *keys[indices[0]].shape), bool)
    out[: indices[0] + 1], out[indices[-1] :] = keys[indices[0]], keys[indices[-1]]
    for first, last in pairwise(indices):
        progress = np.arange(last - first + 1) / (last - first)
        weights = progress if easing is None else easing(progress)
        out[first : last + 1] = interpolate_shapes(keys[first], keys[last], np.clip(weights, 0, 1))
        out[first], out[last] = keys[first], keys[last]
    return MaskSequence(out, fps)


def replace_shape(sequence: MaskSequence, shape: np.ndarray) -> MaskSequence:
    """Replaces the shape and keeps the motion. The new shape has the area of the old one in its first frame.

    shape: bool (h, w) of any size, not empty.
    """
    if not shape.any():
        raise InputError("the new shape is empty; give a mask with a foreground")
    objects = len(sequence.per_instance)
    check_mask_size("the edit replace-shape", objects, sequence.frames, sequence.height, sequence.width)

    def replaced(masks: np.ndarray) -> np.ndarray:
        if not masks.any():
            return masks
        poses = estimate_poses(masks)
        first = masks[np.flatnonzero(masks.any(axis=(1, 2)))[0]]
        size = np.sqrt(first.sum() / shape.sum())
        scaled = Poses(poses.x, poses.y, poses.scale_x * size, poses.scale_y * size, poses.angle)
        placed = place_shape(shape, scaled, masks.shape[1:])
        placed[~masks.any(axis=(1, 2))] = False
        return placed

    return map_instances(sequence, replaced)


def replace_motion(sequence: MaskSequence, motion: MaskSequence, reach: float = 1.0) -> MaskSequence:
    """Keeps the first shape and its position, and moves it as `motion` moves: trajectory, growth and rotation.

    The trajectory is relative to the picture's size, times `reach`. The result has the motion's frames and rate.
    """
    objects = len(sequence.per_instance)
    check_mask_size("the edit replace-motion", objects, motion.frames, sequence.height, sequence.width)
    poses = estimate_poses(motion.masks)
    x = (poses.x - poses.x[0]) * reach * sequence.width / motion.width
    y = (poses.y - poses.y[0]) * reach * sequence.height / motion.height

    def animate(masks: np.ndarray) -> np.ndarray:
        visible = np.flatnonzero(masks.any(axis=(1, 2)))
        if not len(visible):
            return np.zeros((motion.frames, *masks.shape[1:]), bool)
        shape = masks[visible[0]]
        centre_x, centre_y = centroid(shape)
        shape_poses = Poses(x + centre_x, y + centre_y, poses.scale_x, poses.scale_y, poses.angle)
        return place_shape(shape, shape_poses, masks.shape[1:])

    return replace_instances(sequence, np.stack([animate(masks) for masks in sequence.per_instance]), motion.fps)


def combine(first: MaskSequence, second: MaskSequence) -> MaskSequence:
    """Both in one picture, their objects as instances, the second's in front. Size, length and rate must agree."""
    if first.masks.shape != second.masks.shape or abs(first.fps - second.fps) > 1e-6:
        raise InputError(
            f"two sequences go together when they have one size, length and rate, not {first.frames} frames of "
            f"{first.width}x{first.height} at {first.fps:g} and {second.frames} of {second.width}x{second.height} at "
            f"{second.fps:g}; retime and resize one of them"
        )
    objects = len(first.per_instance) + len(second.per_instance)
    check_mask_size("the edit combine", objects, first.frames, first.height, first.width)
    instances = np.concatenate([first.per_instance, second.per_instance])
    names = (*(first.names or ("",)), *(second.names or ("",)))
    camera = first.camera if first.camera == second.camera else None
    return MaskSequence.from_instances(instances, first.fps, names, camera)


def resize(sequence: MaskSequence, height: int, width: int) -> MaskSequence:
    """Scales the picture evenly so that all of it fits into another size, centred; the rest is background."""
    if min(height, width) < 1:
        raise InputError(f"a size is at least 1x1 pixels, not {width}x{height}")
    if (height, width) == (sequence.height, sequence.width):
        return sequence
    check_mask_size("the edit resize", len(sequence.per_instance), sequence.frames, height, width)
    factor = min(height / sequence.height, width / sequence.width)
    scaled_width, scaled_height = max(1, round(sequence.width * factor)), max(1, round(sequence.height * factor))
    left, top = (width - scaled_width) // 2, (height - scaled_height) // 2
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR

    def resized(masks: np.ndarray) -> np.ndarray:
        out = np.zeros((len(masks), height, width), bool)
        for index, mask in enumerate(masks):
            size = scaled_width, scaled_height
            scaled = cv2.resize(mask.astype(np.float32), size, interpolation=interpolation) >= 0.5
            out[index, top : top + scaled_height, left : left + scaled_width] = scaled
        return out

    fitted = map_instances(sequence, resized)
    return replace(fitted, camera=scale_camera(sequence, scaled_width / width, scaled_height / height))
