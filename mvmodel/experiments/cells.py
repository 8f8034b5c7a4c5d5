"""One video of a grid, what makes it, and the cache that a killed run goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from pydantic import Field

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.config import Config
from mvmodel.errors import InputError
from mvmodel.files import hash_value

Factor = str | float | int | bool


@dataclass(frozen=True)
class Task:
    """A video that was asked for: what it shows, where, and from which seed.

    masks: bool (frames, height, width), what the video is judged against. words: the objects that the judge looks for.
    """

    name: str
    prompt: str
    masks: np.ndarray
    seed: int
    words: tuple[str, ...]
    fps: float = 8.0

    def __post_init__(self) -> None:
        if not self.masks[0].any():
            raise InputError(f"request {self.name}: its first mask is empty, but frame 1 is made from it")

    def with_seed_offset(self, number: int) -> Task:
        """The same request from another seed; number 0 keeps its own."""
        return replace(self, seed=self.seed + 1000 * number)


class FirstFrameSpec(Config):
    """How frame 1 is made, and what is done to it before the video starts from it."""

    control: bool = True
    """Off: the text-to-image model alone, without ControlNet and mask 1."""
    prompt: str | None = None
    """Another prompt than the video's."""
    blank: bool = False
    """Even grey instead of a picture: nothing to begin with."""
    shift: float = 0.0
    """How far to the right mask 1 is moved for the ControlNet alone, in shares of the picture's width."""
    erode: float = Field(0.0, ge=0)
    """How much of mask 1 is taken away around its edge for the ControlNet alone, in shares of the picture's width."""
    latent_noise: float = Field(0.0, ge=0)
    """Gaussian noise added to the finished frame's latent, in standard deviations of that latent."""


@dataclass(frozen=True)
class Cell:
    """One video of a grid.

    factors: what this cell is in the grid, columns of the table. given: the masks that the generator sees, when they
    are not the task's own. adapter: a name among the bench's adapters.
    """

    factors: Mapping[str, Factor]
    task: Task
    adapter: str
    generation: GenerationConfig
    control_masks: np.ndarray | None = None
    mask_term: bool = True
    first: FirstFrameSpec = field(default_factory=FirstFrameSpec)

    @property
    def masks(self) -> np.ndarray:
        """What the generator is given, bool (frames, height, width)."""
        return self.task.masks if self.control_masks is None else self.control_masks

    def recipe(self, **identity: str) -> str:
        """Hash of everything that decides the result. about: identity of pack, adapter and code."""
        return hash_value(
            {
                "prompt": self.task.prompt,
                "seed": self.task.seed,
                "words": self.task.words,
                "task_masks": hash_masks(self.task.masks),
                "control_masks": hash_masks(self.masks),
                "generation": self.generation.model_dump(mode="json"),
                "mask_term": self.mask_term,
                "first": self.first.model_dump(mode="json"),
                **identity,
            }
        )


def hash_masks(masks: np.ndarray) -> str:
    """Identity of masks, bool (frames, height, width)."""
    return hash_value([list(masks.shape), np.packbits(masks).tobytes().hex()])


@dataclass
class WorkCounts:
    """What a bench has done: cells requested, videos generated for them, adapters tuned, and the seconds of both."""

    cells: int = 0
    videos_generated: int = 0
    generation_seconds: float = 0.0
    adapters_tuned: int = 0
    tuning_seconds: float = 0.0

    def __str__(self) -> str:
        each = f" ({self.generation_seconds / self.videos_generated:.1f} s each)" if self.videos_generated else ""
        tuning = f", {self.adapters_tuned} adapters tuned in {self.tuning_seconds:.0f} s" if self.adapters_tuned else ""
        return f"{self.cells} cells, {self.videos_generated} generated in {self.generation_seconds:.0f} s{each}{tuning}"
