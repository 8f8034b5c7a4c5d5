"""Requests for motions that the request file leaves out: the clips' masks, mirrored and shifted, with other objects.

The objects are those that the pack knows (`pack.info.objects`); if it lists none, the prompts are the clips' captions.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.backends.training_config import TrainingClip
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.text import find_object_words, replace_noun

if TYPE_CHECKING:
    from mvmodel.generation.requests import Request


@dataclass(frozen=True)
class RequestSpec:
    """A video to generate, before its masks are written to a file."""

    prompt: str
    masks: MaskSequence
    seed: int
    name: str = ""
    negative_prompt: str = ""


def default_requests(
    clips: Sequence[tuple[str, str, np.ndarray]], objects: Sequence[str], count: int, seed: int
) -> list[RequestSpec]:
    """Requests with the clips' masks, mirrored and shifted, and prompts that show other objects.

    Prefers objects that no clip shows, so that neither the prompt nor the mask was trained on.

    Args:
        clips: (name, caption, masks) of each clip, masks bool (frames, height, width). They are used in turn.
        objects: Object words that the pack knows.
        count: Number of requests.
        seed: Of the first request, of shifts and of objects; the others' seeds follow.

    Raises:
        InputError: Every clip's first mask is empty.
    """
    rng = np.random.default_rng(seed)
    clips = [clip for clip in clips if clip[2][0].any()]  # frame 1 is made from the first mask
    if not clips:
        raise InputError("every clip's first mask is empty, so no first frame can be made; give requests of your own")
    trained_objects = {word for _, caption, _ in clips for word in find_object_words(caption, objects)}
    new_objects = [name for name in objects if name not in trained_objects] or list(objects)
    order = list(rng.permutation(len(new_objects)))
    specs = []
    for number in range(count):
        _, prompt, masks = clips[number % len(clips)]
        words = find_object_words(prompt, objects)
        if words and new_objects:
            prompt = replace_noun(prompt, words[0], new_objects[order[number % len(new_objects)]])
        is_mirrored = number // len(clips) % 2 == 0
        shifted = shift_masks(masks[:, :, ::-1] if is_mirrored else masks, rng)
        specs.append(RequestSpec(prompt, MaskSequence(shifted), seed + number))
    return specs


def shift_masks(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Masks, bool (frames, height, width), shifted together by a random step that keeps all of them in the picture."""
    if not masks.any():
        return np.ascontiguousarray(masks)
    shifted = masks
    for axis in (1, 2):
        occupied = np.nonzero(masks.any(axis=tuple({0, 1, 2} - {axis})))[0]
        size = masks.shape[axis]
        step = int(rng.integers(-int(occupied[0]), size - int(occupied[-1])))
        step = max(-size // 6, min(size // 6, step))
        shifted = np.roll(shifted, step, axis=axis)
    return np.ascontiguousarray(shifted)


def write_requests(folder: Path, motion: str, specs: Sequence[RequestSpec], fps: float) -> Path:
    """Write requests.csv and masks/NAME.npz to `folder`; returns the CSV's path. fps: of masks of a single object."""
    path = folder / "requests.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "motion", "prompt", "masks", "seed", "negative_prompt"])
        for number, spec in enumerate(specs, 1):
            name = spec.name or f"{motion}-{number:02d}"
            (folder / "masks").mkdir(exist_ok=True)
            # Masks of several objects keep their own frame rate.
            masks = spec.masks if spec.masks.instances is not None else MaskSequence(spec.masks.masks, fps)
            masks.save(folder / "masks" / f"{name}.npz")
            rows.writerow([name, motion, spec.prompt, f"masks/{name}.npz", spec.seed, spec.negative_prompt])
    return path


def write_default_requests(
    folder: Path, motion: str, clips: Sequence[TrainingClip], objects: Sequence[str], fps: float, count: int, seed: int
) -> Path:
    """Write `count` default requests for a motion's clips to `folder`; returns requests.csv.

    clips: the first ones are used first. objects: the words that the pack knows. fps: of the masks.
    """
    specs = default_requests([(clip.name, clip.caption, clip.masks) for clip in clips], objects, count, seed)
    return write_requests(folder, motion, specs, fps)


def describe_requests(requests: Sequence[Request]) -> list[dict[str, Any]]:
    """Name, prompt, seed and mask file of every request, as rows of a table."""
    return [{"name": r.name, "prompt": r.prompt, "seed": r.seed, "masks": Path(r.masks).name} for r in requests]
