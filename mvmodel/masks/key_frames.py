"""Masks of all frames from those of key frames: shapes between them are interpolated, object by object."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.sequence import MaskSequence
from mvmodel.masks.signed_distance import interpolate_shapes


def interpolate_every(
    sequence: MaskSequence, every: int, has_rate: bool = True, numbers: Sequence[Decimal] | None = None
) -> MaskSequence:
    """Masks of all frames from masks of every n-th one: `every` times as many.

    The last mask is held, since none comes after it. Raises InputError if the masks' numbers count otherwise.

    Args:
        sequence: The masks of every n-th frame.
        every: n, the number of frames from one mask to the next.
        has_rate: The rate is that of the masks, and that of the frames is `every` times as high. Otherwise it is taken
            for the frames'.
        numbers: The number of each mask by the file names: they count by ones, or by `every`.
    """
    if every < 2:
        raise InputError(f"--every is the number of frames from one mask to the next, 2 or more, not {every}")
    steps = {later - earlier for earlier, later in pairwise(numbers or ())}
    if steps - {1} and steps != {every}:
        raise InputError(
            f"--every {every} does not fit masks whose numbers differ by {' and '.join(map(str, sorted(steps)))}; give "
            f"masks that are equally far apart, and the right number"
        )
    indices = np.minimum(np.arange(sequence.frames * every) // every, sequence.frames - 1)
    spread = sequence.per_instance[:, indices]
    keys = np.arange(sequence.frames) * every
    return _rebuild(sequence, _fill_between(spread, keys), sequence.fps * (every if has_rate else 1))


def interpolate_between(sequence: MaskSequence, keys: np.ndarray) -> MaskSequence:
    """The sequence with the masks between key frames interpolated. Those before the first and after the last are held.

    Args:
        sequence: One mask per frame, of which only those of key frames count.
        keys: Indices of the key frames, int, rising.
    """
    return _rebuild(sequence, _fill_between(sequence.per_instance, keys), sequence.fps)


def _fill_between(instances: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """bool (instances, frames, height, width), with the masks that are not at `keys` replaced."""
    filled = instances.copy()
    for masks in filled:
        masks[: keys[0]], masks[keys[-1] :] = masks[keys[0]], masks[keys[-1]]
        for first, last in zip(keys[:-1].tolist(), keys[1:].tolist(), strict=True):
            weights = np.arange(1, last - first) / (last - first)
            masks[first + 1 : last] = interpolate_shapes(masks[first], masks[last], weights)
    return filled


def _rebuild(sequence: MaskSequence, instances: np.ndarray, fps: float) -> MaskSequence:
    if sequence.instances is None:
        return MaskSequence(instances[0], fps)
    return MaskSequence.from_instances(instances, fps, sequence.names)
