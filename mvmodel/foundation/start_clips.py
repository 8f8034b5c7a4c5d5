"""The clips that the start adapter is trained on. Imports no torch, so that processes that render start fast."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from mvmodel.backends.training_config import TrainingClip
from mvmodel.errors import InputError
from mvmodel.world.motions import MOTIONS
from mvmodel.world.render import TRAIN, random_clip

FRAMES = 12
SECOND_OBJECT = 0.15
DEMO_MOTIONS = ("bounce", "gallop", "zigzag")
"""The motions of the sample clips, which the demo tunes on."""
_CLIPS_A_TASK = 20


@dataclass(frozen=True)
class StartAdapterData:
    """Which clips the start adapter is trained on, and where it is computed."""

    clips: int = 600
    exclude_motions: tuple[str, ...] = DEMO_MOTIONS
    """Motions that no training clip shows, so that tuning on them is a test; the demo's, as in the shipped pack."""
    device: str = "cpu"
    """Where the frames are encoded and the adapter is trained: `cpu`, `cuda` or `auto`."""
    workers: int = 1
    """Processes that render."""

    @property
    def motions(self) -> tuple[str, ...]:
        """The motions of the clips. Raises InputError if an excluded one is unknown, or if none is left."""
        unknown = sorted(set(self.exclude_motions) - set(MOTIONS))
        if unknown:
            raise InputError(f"there is no motion {', '.join(unknown)} to exclude; use some of {', '.join(MOTIONS)}")
        motions = tuple(name for name in MOTIONS if name not in self.exclude_motions)
        if not motions:
            raise InputError("every motion is excluded; leave at least one to train on")
        return motions


def render_clips(count: int, start: int = 0, motions: tuple[str, ...] = MOTIONS) -> list[TrainingClip]:
    """Clips of the training split, of random `motions`."""
    clips = []
    for position in range(start, start + count):
        clip = random_clip((TRAIN, position, 40), frames=FRAMES, second_object=SECOND_OBJECT, motions=motions)
        clips.append(TrainingClip(f"world-{position}", clip.frames, clip.masks, clip.caption))
    return clips


def render_in_processes(data: StartAdapterData) -> Iterator[list[TrainingClip]]:
    """All clips in order, some at a time, rendered by `data.workers` processes; by this one if that is 1."""
    starts = range(0, data.clips, _CLIPS_A_TASK)
    counts = [min(_CLIPS_A_TASK, data.clips - start) for start in starts]
    if data.workers == 1:
        for start, count in zip(starts, counts, strict=True):
            yield render_clips(count, start, data.motions)
        return
    with ProcessPoolExecutor(data.workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(render_clips, counts, starts, [data.motions] * len(counts))
