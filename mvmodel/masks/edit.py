"""Edits of mask sequences. Each returns a new sequence and applies to every object separately.

What leaves the picture is cut off (`outside="clip"`), or the whole trajectory is shifted back so that no frame loses
any of it (`outside="keep"`), which raises InputError if it does not fit. `EDITS` are the edits that need only the
sequence. Edits with a second input are in `mvmodel.masks.combine`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from mvmodel.errors import InputError
from mvmodel.masks.geometry import centroid, rotation_matrix
from mvmodel.masks.limits import MAX_FRAMES, check_mask_size
from mvmodel.masks.sequence import MaskSequence
from mvmodel.masks.signed_distance import interpolate_shapes, signed_distance

Outside = Literal["clip", "keep"]
Numbers = float | np.ndarray
"""One number for all frames, or an array (frames,)."""
_MIN_SIGMA = 0.05
"""A narrower Gaussian changes nothing."""


def replace_instances(
    sequence: MaskSequence,
    instances: np.ndarray,
    fps: float | None = None,
    camera: tuple[float, float] | None = None,
) -> MaskSequence:
    """Other masks for the same objects. instances: bool (instances, frames, height, width). camera: the new one."""
    fps = sequence.fps if fps is None else fps
    if sequence.instances is None and len(instances) == 1:
        return MaskSequence(instances[0], fps, camera=camera)
    return MaskSequence.from_instances(instances, fps, sequence.names, camera)


def map_instances(sequence: MaskSequence, change: Callable[[np.ndarray], np.ndarray]) -> MaskSequence:
    """Applies a function of bool (frames, height, width) to every object's masks. The camera stays."""
    instances = np.stack([change(masks) for masks in sequence.per_instance])
    return replace_instances(sequence, instances, camera=sequence.camera)


def scale_camera(sequence: MaskSequence, x: float, y: float) -> tuple[float, float] | None:
    """The sequence's camera with its two numbers multiplied, or None if it is unknown."""
    return None if sequence.camera is None else (sequence.camera[0] * x, sequence.camera[1] * y)


def _per_frame(sequence: MaskSequence, value: Numbers, name: str) -> np.ndarray:
    values = np.asarray(value, float)
    if values.ndim > 1 or (values.ndim == 1 and len(values) != sequence.frames) or not np.isfinite(values).all():
        raise InputError(
            f"{name} is one finite number or {sequence.frames} of them, one a frame, not {values.shape or value}"
        )
    return np.broadcast_to(values, (sequence.frames,))


def warp(
    sequence: MaskSequence, matrices: np.ndarray, centre: str = "picture", outside: Outside = "clip"
) -> MaskSequence:
    """Applies an affine map to every frame.

    Args:
        sequence: The masks.
        matrices: float (frames, 2, 3).
        centre: The fixed point of the linear part: the centre of the "picture" or of the "object".
        outside: What happens to what leaves the picture.
    """
    size = sequence.width, sequence.height

    def matrix_about_centre(index: int, mask: np.ndarray) -> np.ndarray:
        fixed_point = np.array(centroid(mask) if centre == "object" else ((size[0] - 1) / 2, (size[1] - 1) / 2))
        linear, translation = matrices[index, :, :2], matrices[index, :, 2]
        return np.column_stack([linear, fixed_point - linear @ fixed_point + translation])

    shift = np.zeros(2)
    if outside == "keep":
        extents = [
            _warped_extent(mask, matrix_about_centre(index, mask))
            for masks in sequence.per_instance
            for index, mask in enumerate(masks)
            if mask.any()
        ]
        if extents:
            lowest, highest = (np.array(corners) for corners in zip(*extents, strict=True))
            low, high = lowest.min(axis=0), highest.max(axis=0)
            shift = np.array([_shift_inside(low[axis], high[axis], size[axis]) for axis in (0, 1)])

    def warped(masks: np.ndarray) -> np.ndarray:
        out = np.zeros_like(masks)
        for index in np.flatnonzero(masks.any(axis=(1, 2))).tolist():
            matrix = matrix_about_centre(index, masks[index])
            offset = matrix[:, 2] + shift
            matrix[:, 2] = np.where(np.abs(offset - offset.round()) < 1e-6, offset.round(), offset)
            out[index] = cv2.warpAffine(masks[index].astype(np.float32), matrix, size) > 0.499
        return out

    return map_instances(sequence, warped)


def _warped_extent(mask: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixel, x and y, of a mask under a 2x3 map on an infinite picture."""
    rows, columns = np.nonzero(mask)
    points = np.column_stack([columns, rows]) @ matrix[:, :2].T + matrix[:, 2]
    margin = np.abs(matrix[:, :2]).sum(axis=1) / 2 - 0.5  # a pixel is a square of side 1
    return np.floor(points.min(axis=0) - margin + 0.5), np.ceil(points.max(axis=0) + margin - 0.5)


def _shift_inside(low: float, high: float, length: int) -> float:
    """The shift that brings pixels `low` to `high` inside 0 to `length`."""
    if high - low >= length:
        raise InputError(f"the way is {high - low + 1:.0f} pixels long and does not fit into {length}; make it smaller")
    return max(0.0, -low) - max(0.0, high - length + 1)


def _matrices(frames: int, linear: np.ndarray | None = None, dx: Any = 0.0, dy: Any = 0.0) -> np.ndarray:
    matrices = np.zeros((frames, 2, 3))
    matrices[:, :, :2] = np.eye(2) if linear is None else linear
    matrices[:, 0, 2], matrices[:, 1, 2] = dx, dy
    return matrices


def move(sequence: MaskSequence, dx: Numbers = 0.0, dy: Numbers = 0.0, outside: Outside = "clip") -> MaskSequence:
    """Shifts by pixels; right and down are positive. An array has one shift per frame."""
    steps = _per_frame(sequence, dx, "dx"), _per_frame(sequence, dy, "dy")
    return warp(sequence, _matrices(sequence.frames, None, *steps), outside=outside)


def pan(sequence: MaskSequence, dx: float = 0.0, dy: float = 0.0) -> MaskSequence:
    """Moves everything as if a camera travelled dx, dy pixels over the sequence at a constant speed."""
    share = np.linspace(0, 1, sequence.frames) if sequence.frames > 1 else np.zeros(1)
    x, y = sequence.camera or (0.0, 0.0)
    crop = move(sequence, -dx * share, -dy * share)
    return replace(crop, camera=(x + dx / sequence.width, y + dy / sequence.height))


def scale(sequence: MaskSequence, factor: Numbers = 1.0, outside: Outside = "clip") -> MaskSequence:
    """Scales the object about its own centre. Its trajectory does not change."""
    factors = _per_frame(sequence, factor, "factor")
    if (factors <= 0).any():
        raise InputError(f"a scale's factor is above 0, not {factors.min():g}")
    linear = factors[:, None, None] * np.eye(2)
    return warp(sequence, _matrices(sequence.frames, linear), centre="object", outside=outside)


def rotate(sequence: MaskSequence, degrees: Numbers = 90.0, outside: Outside = "clip") -> MaskSequence:
    """Rotates the object counter-clockwise about its own centre."""
    linear = rotation_matrix(_per_frame(sequence, degrees, "degrees"))
    return warp(sequence, _matrices(sequence.frames, linear), centre="object", outside=outside)


def flip(sequence: MaskSequence, axis: Literal["x", "y"] = "x") -> MaskSequence:
    """Mirrors the picture: "x" left to right, "y" top to bottom."""
    if axis not in ("x", "y"):
        raise InputError(f'flip mirrors along "x" or "y", not {axis!r}')
    along = -1 if axis == "x" else -2
    signs = (-1, 1) if axis == "x" else (1, -1)
    flipped = np.ascontiguousarray(np.flip(sequence.per_instance, along))
    return replace_instances(sequence, flipped, camera=scale_camera(sequence, *signs))


def retime(
    sequence: MaskSequence, frames: int | None = None, speed: float | None = None, smooth: bool = False
) -> MaskSequence:
    """Spreads the sequence over another number of frames, or plays it `speed` times as fast at the same rate.

    The first and the last frame stay. smooth: interpolate shapes between two masks by signed distance instead of taking
    the nearest mask in time.
    """
    if (frames is None) == (speed is None):
        raise InputError("give retime either a number of frames or a speed")
    if speed is not None:
        if speed <= 0:
            raise InputError(f"a speed is above 0, not {speed:g}")
        frames = max(1, round(min((sequence.frames - 1) / speed, 2.0 * MAX_FRAMES)) + 1)
    if frames is None or frames < 1:
        raise InputError(f"retime needs at least 1 frame, not {frames}")
    _check_growth("retime", sequence, len(sequence.per_instance), frames)
    positions = np.linspace(0, sequence.frames - 1, frames)
    if not smooth:  # halves are rounded up, unlike in `evenly_spaced_indices`
        indices = np.floor(positions + 0.5).astype(int)
        return replace_instances(sequence, sequence.per_instance[:, indices], camera=sequence.camera)

    def interpolated(masks: np.ndarray) -> np.ndarray:
        low = np.minimum(positions.astype(int), len(masks) - 1)
        high = np.minimum(low + 1, len(masks) - 1)
        return np.concatenate(
            [
                interpolate_shapes(masks[a], masks[b], np.array([t - a]))
                for a, b, t in zip(low, high, positions, strict=True)
            ]
        )

    return map_instances(sequence, interpolated)


def _check_growth(edit: str, sequence: MaskSequence, objects: int, frames: int) -> None:
    """Raises InputError if an edit makes more masks than may be made. Masks that are as many as before may be more."""
    if objects * frames > len(sequence.per_instance) * sequence.frames:
        check_mask_size(f"the edit {edit}", objects, frames, sequence.height, sequence.width)


def reverse(sequence: MaskSequence) -> MaskSequence:
    """Plays the sequence backwards."""
    backwards = np.ascontiguousarray(sequence.per_instance[:, ::-1])
    return replace_instances(sequence, backwards, camera=scale_camera(sequence, -1, -1))


def loop(sequence: MaskSequence, times: int = 2, there_and_back: bool = False) -> MaskSequence:
    """Plays the sequence several times.

    there_and_back: every other time backwards, without repeating the turning frame.
    """
    if times < 1:
        raise InputError(f"a loop plays at least once, not {times} times")
    _check_growth("loop", sequence, len(sequence.per_instance), sequence.frames * times)
    masks = sequence.per_instance
    parts = [masks]
    for number in range(1, times):
        part = masks[:, ::-1] if there_and_back and number % 2 else masks
        parts.append(part[:, 1:] if there_and_back and sequence.frames > 1 else part)
    return replace_instances(sequence, np.concatenate(parts, axis=1))


def cut(sequence: MaskSequence, start: int = 0, end: int | None = None) -> MaskSequence:
    """Takes frames `start` (inclusive) to `end` (exclusive)."""
    last = sequence.frames if end is None else end
    if not 0 <= start < last <= sequence.frames:
        raise InputError(f"frames {start} to {last} are not in a sequence of {sequence.frames}")
    share = (last - start - 1) / max(1, sequence.frames - 1)
    return replace_instances(
        sequence, sequence.per_instance[:, start:last], camera=scale_camera(sequence, share, share)
    )


def duplicate(sequence: MaskSequence, dx: float = 0.0, dy: float = 0.0, outside: Outside = "clip") -> MaskSequence:
    """Adds a copy of every object, shifted by pixels. Originals and copies become instances."""
    _check_growth("duplicate", sequence, 2 * len(sequence.per_instance), sequence.frames)
    copies = move(sequence, dx, dy, outside)
    names = sequence.names or ("",)
    copy_names = tuple(f"{name} copy" if name else "" for name in names)
    instances = np.concatenate([sequence.per_instance, copies.per_instance])
    return MaskSequence.from_instances(instances, sequence.fps, (*names, *copy_names), sequence.camera)


def remove(sequence: MaskSequence, instance: int | str = 0) -> MaskSequence:
    """Removes an object, by number or name. Raises InputError if it is the only one."""
    removed = sequence.instance(instance)
    if len(sequence.per_instance) == 1:
        raise InputError("the sequence has one object only; nothing would be left of it")
    number = instance if isinstance(instance, int) else sequence.names.index(removed.names[0])
    indices = [index for index in range(len(sequence.per_instance)) if index != number]
    names = [sequence.names[index] for index in indices]
    return MaskSequence.from_instances(sequence.per_instance[indices], sequence.fps, names, sequence.camera)


def erode(sequence: MaskSequence, pixels: float = 1.0) -> MaskSequence:
    """Removes everything less than `pixels` inside the outline."""
    return _offset_outline(sequence, -_check_distance(pixels, "erode"))


def dilate(sequence: MaskSequence, pixels: float = 1.0) -> MaskSequence:
    """Adds everything less than `pixels` outside the outline."""
    return _offset_outline(sequence, _check_distance(pixels, "dilate"))


def _check_distance(pixels: float, edit: str) -> float:
    if pixels < 0:
        raise InputError(f"{edit} takes a distance of 0 or more pixels, not {pixels:g}")
    return pixels


def _offset_outline(sequence: MaskSequence, pixels: float) -> MaskSequence:
    return map_instances(sequence, lambda masks: np.stack([signed_distance(mask) + pixels > 0 for mask in masks]))


def smooth(sequence: MaskSequence, pixels: float = 1.0, frames: float = 0.0) -> MaskSequence:
    """Smooths the outline over `pixels`, and its change in time over `frames` (standard deviations of a Gaussian).

    Signed distances are averaged, each frame's about its own centre, so smoothing in time does not smear a trajectory.
    """
    _check_distance(pixels, "smooth"), _check_distance(frames, "smooth")

    def smoothed(masks: np.ndarray) -> np.ndarray:
        fields = np.stack([signed_distance(mask) for mask in masks])
        if frames > _MIN_SIGMA:
            fields = _filter_in_time(
                masks, fields, lambda stack: gaussian_filter1d(stack, frames, axis=0, mode="nearest")
            )
        if pixels > _MIN_SIGMA:
            fields = gaussian_filter(fields, (0, pixels, pixels), mode="nearest")
        return np.asarray(fields > 0)

    return map_instances(sequence, smoothed)


def _filter_in_time(
    masks: np.ndarray, fields: np.ndarray, time_filter: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Filters signed distances over the frames with a mask, each shifted to the middle of the picture."""
    height, width = masks.shape[1:]
    indices = np.flatnonzero(masks.any(axis=(1, 2)))
    if not len(indices):
        return fields
    shifts = [np.array([width / 2, height / 2]) - centroid(mask) if mask.any() else np.zeros(2) for mask in masks]

    def shifted(field: np.ndarray, by: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(field, np.column_stack([np.eye(2), by]), (width, height), borderMode=cv2.BORDER_REPLICATE)

    out = fields.copy()
    stack = np.stack([shifted(fields[index], shifts[index]) for index in indices])
    for index, field in zip(indices, time_filter(stack), strict=True):
        out[index] = shifted(field.astype(np.float32), -shifts[index])
    return out


EDITS: dict[str, Callable[..., MaskSequence]] = {
    edit.__name__: edit
    for edit in (move, pan, scale, rotate, flip, retime, reverse, loop, cut, duplicate, remove, erode, dilate, smooth)
}
"""Edits that need only the sequence, by name."""
