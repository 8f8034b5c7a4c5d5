"""Requests of `benchmarks.peers`: held-out renders, whose true clips are known, and their first frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.cache import Cache
from mvmodel.code_version import code_version
from mvmodel.experiments.bench import Motion
from mvmodel.experiments.cells import Task, hash_masks
from mvmodel.files import hash_value

if TYPE_CHECKING:
    from mvmodel.packs import Pack

SALT = 74
"""Last number of the seeds of the rendered requests; no other measurement uses it."""
CODE = code_version("mvmodel.backends.image_unet.first_frame")


def render_requests(motion: Motion, count: int, frames: int, first: int = 0) -> list[tuple[Task, np.ndarray]]:
    """Requests of a motion of the motion world, each with its true clip, uint8 (F, H, W, 3).

    The camera stands still, and no object is one of the motion's training clips'. first: number of the first request.
    """
    from mvmodel.text import find_object_words
    from mvmodel.world.render import HELD_OUT, random_clip
    from mvmodel.world.sprites import OBJECTS

    trained = {word for clip in motion.clips for word in find_object_words(clip.caption, list(OBJECTS))}
    free = [name for name in OBJECTS if name not in trained]
    requests = []
    for number in range(first, first + count):
        name = free[(number * 5 + len(motion.name)) % len(free)]
        clip = random_clip((HELD_OUT, number, SALT), frames=frames, motion=motion.name, objects=(name,), pan=0.0)
        task = Task(f"{motion.name}-{name}-{number}", clip.caption, clip.masks, 100 + number, clip.objects)
        requests.append((task, clip.frames))
    return requests


def load_first_frames(
    pack: Pack, tasks: Sequence[Task], generation: GenerationConfig, cache: Cache
) -> tuple[np.ndarray, np.ndarray]:
    """Frame 1 of every task by the pack's ControlNet, uint8 (n, H, W, 3), and its scaled latents, float32."""
    recipe = hash_value(
        {
            "tasks": [[task.prompt, task.seed, hash_masks(task.masks[:1])] for task in tasks],
            "generation": generation.model_dump(
                mode="json", include={"scheduler", "first_frame_steps", "first_frame_guidance", "control_scale"}
            ),
            "pack": pack.hash,
            "code": CODE,
        }
    )

    def build(folder: Path) -> None:
        from mvmodel.backends.image_unet.first_frame import generate_first_latents

        masks = np.stack([task.masks[0] for task in tasks])
        prompts, seeds = [task.prompt for task in tasks], [task.seed for task in tasks]
        pictures, latents = generate_first_latents(pack, prompts, masks, seeds, generation)
        np.savez(folder / "first.npz", pictures=pictures, latents=latents)

    with np.load(cache.get_or_build("peer_first_frames", recipe, build) / "first.npz", allow_pickle=False) as data:
        return data["pictures"], data["latents"]
