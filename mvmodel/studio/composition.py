"""From a project to its mask sequence, with the edits of `mvmodel.masks` and the paths of `mvmodel.authoring`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from mvmodel.authoring.paths import progress, sample_path
from mvmodel.errors import InputError
from mvmodel.masks.combine import interpolate
from mvmodel.masks.edit import move, pan, rotate, scale
from mvmodel.masks.edit_script import edit_files, run_edits
from mvmodel.masks.fit import fit_masks
from mvmodel.masks.geometry import centroid
from mvmodel.masks.sequence import MaskSequence
from mvmodel.picture_size import PictureSize
from mvmodel.studio.mask_memory import MaskMemory
from mvmodel.studio.project import DrawnMasks, ObjectMotion, Project, StudioObject

Load = Callable[[str], MaskSequence]
"""File name of a session -> its masks."""
_EASING_SAMPLES = 96
_memory = MaskMemory(max_bytes=256 << 20)


def compose_masks(project: Project, load: Load, size: PictureSize) -> MaskSequence | None:
    """The project's masks at `size`, one instance per visible object; None without objects.

    Raises InputError naming the object and the edit that cannot be applied.
    """
    visible = [entry for entry in project.objects if entry.visible]
    if not visible:
        return None
    instances = []
    for number, entry in enumerate(visible, 1):
        try:
            instances.append(_compose_object(entry, project, load, size))
        except InputError as error:
            raise InputError(f"{entry.name or f'object {number}'}: {error}") from error
    names = tuple(entry.name.strip() for entry in visible)
    if len(instances) == 1 and not names[0]:
        sequence = MaskSequence(instances[0], project.fps, camera=project.camera)
    else:
        sequence = MaskSequence.from_instances(np.stack(instances), project.fps, names, project.camera)
    if project.pan != (0.0, 0.0):
        sequence = pan(sequence, project.pan[0] * size.width, project.pan[1] * size.height)
    return sequence


def _compose_object(entry: StudioObject, project: Project, load: Load, size: PictureSize) -> np.ndarray:
    """An object's masks, bool (frames, height, width)."""
    script = " | ".join(entry.edits)
    if edit_files(script):
        raise InputError("edits that read files are not available here; upload the masks instead")
    source = entry.masks
    for name in source.keys.values() if isinstance(source, DrawnMasks) else [source.file]:
        load(name)  # raises for files of other sessions, whose masks may be remembered
    speed = str(entry.motion.speed) if isinstance(source, DrawnMasks) and len(source.keys) > 1 else ""
    edited_key = (source.model_dump_json(), script, speed, project.frames, size)

    def edit() -> np.ndarray:
        return hold_frames(run_edits(_load_object(entry, project, load, size), script).masks, project.frames)

    def move_edited() -> np.ndarray:
        edited = _memory.get_or_compute(edited_key, edit)
        return apply_motion(MaskSequence(edited, project.fps), entry.motion).masks

    return _memory.get_or_compute((*edited_key, entry.motion.model_dump_json()), move_edited)


def _load_object(entry: StudioObject, project: Project, load: Load, size: PictureSize) -> MaskSequence:
    """An object's masks before edits and motion, at the project's size."""
    if isinstance(entry.masks, DrawnMasks):
        keys = {
            min(frame, project.frames - 1): fit_masks(load(name), size, "pad").masks[0]
            for frame, name in entry.masks.keys.items()
        }
        easing = progress(_EASING_SAMPLES, entry.motion.speed)

        def ease(share: np.ndarray) -> np.ndarray:
            return easing[np.round(share * (_EASING_SAMPLES - 1)).astype(int)]

        return interpolate(keys, project.frames, project.fps, ease)
    sequence = load(entry.masks.file)
    masks = sequence.per_instance[min(entry.masks.instance, len(sequence.per_instance) - 1)]
    return fit_masks(MaskSequence(masks, project.fps), size, "pad")


def hold_frames(masks: np.ndarray, frames: int) -> np.ndarray:
    """Masks, bool (n, height, width), cut to a number of frames, or with the last one held."""
    return masks[np.minimum(np.arange(frames), len(masks) - 1)]


def apply_motion(sequence: MaskSequence, motion: ObjectMotion) -> MaskSequence:
    """The sequence moved along the path, bent, resized and turned, each about the object's centre."""
    start = min(motion.start, sequence.frames - 1)
    if start:
        placed_masks = apply_motion(
            MaskSequence(sequence.masks[start:], sequence.fps), motion.model_copy(update={"start": 0})
        )
        return MaskSequence(np.concatenate([sequence.masks[:start], placed_masks.masks]), sequence.fps)
    frames = sequence.frames
    if motion.sizes:
        sequence = scale(sequence, np.clip(_at_frames(motion.sizes, frames), 0.02, 50))
    if motion.turns:
        sequence = rotate(sequence, _at_frames(motion.turns, frames))
    dx, dy = compute_shifts(sequence, motion)
    return move(sequence, dx, dy) if dx.any() or dy.any() else sequence


def compute_shifts(sequence: MaskSequence, motion: ObjectMotion) -> tuple[np.ndarray, np.ndarray]:
    """How far the object is moved in every frame, in pixels, float (frames,) each.

    The path takes the place of the masks' own path from their first centre to their last one, so the object begins and
    ends where the path does. What the masks do besides, such as the steps of a gallop, is added.
    """
    size = np.array([sequence.width, sequence.height], float)
    visible = np.flatnonzero(sequence.masks.any(axis=(1, 2)))
    if not len(visible):
        return np.zeros(sequence.frames), np.zeros(sequence.frames)
    start = np.array(centroid(sequence.masks[visible[0]]))
    end = np.array(centroid(sequence.masks[visible[-1]]))
    shifts = np.zeros((sequence.frames, 2)) + np.array(motion.offset) * size
    travel = end - start
    if motion.points:
        path = sample_path(np.array(motion.points) * size, sequence.frames, motion.speed)
        share = np.interp(np.arange(sequence.frames), visible[[0, -1]], [0.0, 1.0])
        shifts += path - start - share[:, None] * (end - start)
        travel = path[-1] - path[0]
    if motion.bend:
        length = float(np.hypot(*travel))
        side = np.array([travel[1], -travel[0]]) / length if length > 1 else np.array([0.0, -1.0])
        share = progress(sequence.frames, motion.speed)
        shifts += motion.bend * sequence.height * np.sin(np.pi * share)[:, None] * side
    return shifts[:, 0], shifts[:, 1]


def _at_frames(keys: list[tuple[float, float]], frames: int) -> np.ndarray:
    """Values of keys at every frame, float (frames,)."""
    times, values = zip(*sorted(keys), strict=True)
    return np.interp(np.linspace(0, 1, frames), times, values)


def describe_masks(sequence: MaskSequence) -> dict[str, Any]:
    """What the page draws: a PNG with all frames below each other, whose grey levels are the objects' numbers.

    Also each object's centre in every frame, in shares of the picture, and sentences about what is odd.
    """
    labels = np.zeros(sequence.masks.shape, np.uint8)
    centres: list[list[list[float] | None]] = []
    scale_to_share = np.array([sequence.width, sequence.height])
    for number, masks in enumerate(sequence.per_instance, 1):
        labels[masks] = number
        centres.append(
            [
                [round(float(value), 4) for value in (np.array(centroid(mask)) + 0.5) / scale_to_share]
                if mask.any()
                else None
                for mask in masks
            ]
        )
    _, png = cv2.imencode(".png", labels.reshape(-1, sequence.width), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    sheet = "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
    described = {"sheet": sheet, "frames": sequence.frames, "width": sequence.width, "height": sequence.height}
    return described | {"camera": sequence.camera, "centres": centres, "remarks": find_remarks(sequence)}


def find_remarks(sequence: MaskSequence) -> list[str]:
    """Sentences about masks that a video cannot follow, or not well."""
    if not sequence.masks.any():
        return ["nothing is left of the masks: the object has moved out of the picture"]
    remarks = []
    nameless = [str(number) for number, name in enumerate(sequence.names, 1) if not name]
    if 0 < len(nameless) < len(sequence.names):
        subject = f"object {nameless[0]} has" if len(nameless) == 1 else f"objects {', '.join(nameless)} have"
        remarks.append(
            f"{subject} no words, so no object is tied to words of the prompt; write some under every object"
        )
    if not sequence.masks[0].any():
        remarks.append("the first frame is empty, but the video begins with it; move the object into the picture")
    empty = int((~sequence.masks.any(axis=(1, 2))).sum())
    if empty and sequence.masks[0].any():
        remarks.append(f"the object is out of the picture in {empty} of {sequence.frames} frames")
    return remarks
