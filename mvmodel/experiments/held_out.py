"""A catalogue of masks that no training clip has: four families of six, made from a request's own masks.

shape   the outline of something else at the object's place and size
size    the object's own outline, much smaller or larger
motion  the object's outline from mask 1, moved by another pattern of `mvmodel.world.motions`
class   the request's masks under the word of an object that no clip shows
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mvmodel.errors import InputError
from mvmodel.experiments.cells import Task
from mvmodel.masks import MaskSequence
from mvmodel.masks.edit import scale, warp
from mvmodel.masks.geometry import centroid
from mvmodel.text import replace_noun
from mvmodel.world.motions import MOTIONS, sample_poses

FAMILIES = ("shape", "size", "motion", "class")
SIZES = (0.4, 0.55, 0.7, 1.3, 1.6, 1.9)
"""Factors on the object's sides."""


@dataclass(frozen=True)
class HeldOutItem:
    """One entry of the catalogue: a request whose masks or object lie outside of what was trained on."""

    family: str
    name: str
    task: Task


def iterate_held_out(
    task: Task, motion: str, training_objects: Sequence[str], objects: Sequence[str], items: int
) -> Iterator[HeldOutItem]:
    """The first `items` entries of every family. seen: object words of the training clips, objects: words to choose of.

    The family "class" is left out where the pack names no further objects.
    """
    for name, outline in list(SHAPES.items())[:items]:
        yield HeldOutItem("shape", name, replace(task, masks=_as_shape(task.masks, outline)))
    for factor in SIZES[:items]:
        masks = scale(MaskSequence(task.masks), factor).masks
        yield HeldOutItem("size", f"x{factor:g}", replace(task, masks=masks))
    for other_motion in _other_motions(motion)[:items]:
        yield HeldOutItem("motion", other_motion, replace(task, masks=transfer_motion(task, other_motion)))
    words = [word for word in objects if word not in training_objects and word not in task.words]
    for word in words[:items]:
        prompt = replace_noun(task.prompt, task.words[0], word) if task.words else task.prompt
        if prompt != task.prompt:
            yield HeldOutItem("class", word, replace(task, prompt=prompt, words=(word,)))


def transfer_motion(task: Task, motion: str) -> np.ndarray:
    """Mask 1 carried along the poses of another motion: bool (frames, height, width), whole in every frame."""
    frames, height, width = task.masks.shape
    pose = sample_poses(motion, frames, np.random.default_rng(task.seed), facing=1)
    angle = np.deg2rad(pose.angle - pose.angle[0])
    turn = np.stack([np.stack([np.cos(angle), np.sin(angle)], -1), np.stack([-np.sin(angle), np.cos(angle)], -1)], 1)
    sides = np.stack([pose.scale_x / pose.scale_x[0], pose.scale_y / pose.scale_y[0]], axis=-1)
    matrices = np.zeros((frames, 2, 3))
    matrices[:, :, :2] = turn * sides[:, None, :]
    matrices[:, 0, 2] = (pose.x - pose.x[0]) * width
    matrices[:, 1, 2] = (pose.y - pose.y[0]) * height
    still_mask = MaskSequence(np.repeat(task.masks[:1], frames, axis=0))
    try:
        return warp(still_mask, matrices, centre="object", outside="keep").masks
    except InputError:  # too large for this way: what leaves the picture is cut off
        return warp(still_mask, matrices, centre="object").masks


def _other_motions(motion: str) -> list[str]:
    return [name for name in ("spin", "orbit", "fall", "sway", "grow", "glide", *MOTIONS) if name != motion]


def _as_shape(masks: np.ndarray, contains: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Another outline with each mask's centre and, as far as the picture allows, area."""
    height, width = masks.shape[1:]
    rows, columns = np.mgrid[:height, :width].astype(float)
    grid = np.linspace(-2, 2, 401)
    share = contains(*np.meshgrid(grid, grid)).mean() * 16  # the outline's own area, its radius being 1
    out = np.zeros_like(masks)
    for index, mask in enumerate(masks):
        if mask.any():
            x, y = centroid(mask)
            radius = max(2.0, np.sqrt(mask.sum() / share))
            out[index] = contains((columns - x) / radius, (rows - y) / radius)
    return out


def _polygon(corners: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A regular polygon of radius 1 with a corner at the top."""
    step = 2 * np.pi / corners
    turned = (np.arctan2(x, -y) + step / 2) % step - step / 2
    return np.asarray(np.hypot(x, y) * np.cos(turned - np.sign(turned) * step / 2) <= np.cos(step / 2))


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "triangle": lambda x, y: _polygon(3, x, y),
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) <= 0.8,
    "cross": lambda x, y: (np.minimum(np.abs(x), np.abs(y)) <= 0.3) & (np.maximum(np.abs(x), np.abs(y)) <= 1),
    "ring": lambda x, y: (np.hypot(x, y) <= 1) & (np.hypot(x, y) >= 0.55),
    "crescent": lambda x, y: (np.hypot(x, y) <= 1) & (np.hypot(x - 0.45, y) >= 0.8),
    "corner": lambda x, y: (np.maximum(np.abs(x), np.abs(y)) <= 0.9) & ~((x > -0.25) & (y < 0.25)),
}
"""Name -> whether a point lies inside, coordinates in radii about the centre, y down."""
