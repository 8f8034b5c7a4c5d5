"""Requests for motions that nobody wrote requests for: the clips' own masks, mirrored and moved, with other objects.

They lean on the objects that the pack says it knows (`pack.info.objects`); where it names none, the clips' own captions
stand.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.backends.training_config import TrainingClip
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.text import find_object_words, replace_noun


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
    """`count` requests from (name, caption, masks) of clips: their masks mirrored and moved, prompts of other objects.

    Objects that no clip shows come first, so that neither the prompt nor the mask is one that was trained on. Clips are
    taken in turn; the first ones given are taken first.
    """
    rng = np.random.default_rng(seed)
    clips = [clip for clip in clips if clip[2][0].any()]  # frame 1 is made from the first mask
    if not clips:
        raise InputError("every clip's first mask is empty, so no first frame can be made; give requests of your own")
    shown = {word for _, sentence, _ in clips for word in find_object_words(sentence, objects)}
    others = [name for name in objects if name not in shown] or list(objects)
    order = list(rng.permutation(len(others)))
    wanted = []
    for number in range(count):
        _, sentence, masks = clips[number % len(clips)]
        words = find_object_words(sentence, objects)
        if words and others:
            sentence = replace_noun(sentence, words[0], others[order[number % len(others)]])
        turned = masks if number // len(clips) % 2 else masks[:, :, ::-1]
        wanted.append(RequestSpec(sentence, MaskSequence(shift_masks(turned, rng)), seed + number))
    return wanted


def shift_masks(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The whole sequence shifted by a random step that keeps all of it in the picture; masks bool (frames, H, W)."""
    if not masks.any():
        return np.ascontiguousarray(masks)
    shifted = masks
    for axis in (1, 2):
        used = np.nonzero(masks.any(axis=tuple({0, 1, 2} - {axis})))[0]
        room = masks.shape[axis]
        step = int(rng.integers(-int(used[0]), room - int(used[-1])))
        step = max(-room // 6, min(room // 6, step))
        shifted = np.roll(shifted, step, axis=axis)
    return np.ascontiguousarray(shifted)


def write_requests(folder: Path, motion: str, wanted: Sequence[RequestSpec], fps: float) -> Path:
    """requests.csv and masks/*.npz in `folder`; returns the CSV."""
    path = folder / "requests.csv"
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "motion", "prompt", "masks", "seed", "negative_prompt"])
        for number, request in enumerate(wanted, 1):
            name = request.name or f"{motion}-{number:02d}"
            (folder / "masks").mkdir(exist_ok=True)
            # Masks of several objects keep their own frame rate.
            masks = request.masks if request.masks.instances is not None else MaskSequence(request.masks.masks, fps)
            masks.save(folder / "masks" / f"{name}.npz")
            rows.writerow([name, motion, request.prompt, f"masks/{name}.npz", request.seed, request.negative_prompt])
    return path


def write_default_requests(
    folder: Path, motion: str, clips: Sequence[TrainingClip], objects: Sequence[str], fps: float, count: int, seed: int
) -> Path:
    """Write `count` default requests for a motion's clips to `folder`; returns requests.csv.

    clips: the first ones are used first. objects: the words that the pack knows. fps: of the masks.
    """
    specs = default_requests([(clip.name, clip.caption, clip.masks) for clip in clips], objects, count, seed)
    return write_requests(folder, motion, specs, fps)


def describe_requests(requests: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"name": r.name, "prompt": r.prompt, "seed": r.seed, "masks": Path(r.masks).name} for r in requests]
