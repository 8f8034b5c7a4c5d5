"""Which mask belongs to which frame: by the numbers in the names where there are numbers, never by place alone."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np

from mvmodel.errors import InputError
from mvmodel.video.animation import is_animated_format
from mvmodel.video.containers import holds_pictures, image_files
from mvmodel.video.picture_sequences import list_numbers, picture_numbers
from mvmodel.video.probe import probe_video


def pair_masks(
    path: Path, masks: int, mask_numbers: Sequence[Decimal] | None, source: Path, frames: int, frame_indices: np.ndarray
) -> np.ndarray:
    """The index of the mask of each sampled frame, int (sampled frames,).

    Args:
        path: The masks.
        masks: How many masks there are.
        mask_numbers: The number of each mask by the file names, if they have numbers.
        source: The clip: a video, or pictures whose names may have numbers.
        frames: How many frames it has.
        sampled: Indices of the frames whose masks are wanted.

    Raises:
        InputError: A sampled frame has no mask, or nothing says which mask belongs to which frame.
    """
    frame_numbers = read_picture_numbers(source, frames)
    if mask_numbers is not None and frame_numbers is not None:
        return _pair_numbers(path, mask_numbers, frame_numbers, frame_indices)
    if masks != frames and (pictures := _shown_pictures(source, masks)) is not None:
        return pictures[frame_indices]
    if masks != frames:
        raise InputError(
            f"{path} has {masks} masks, but {source.name} has {frames} frames{_every_nth_hint(masks, frames)}; "
            f"give one mask a frame{every_nth_fix(path, masks, frames)}"
        )
    if mask_numbers is not None and (missing := _missing_numbers(mask_numbers)):
        raise InputError(
            f"{path} has {masks} masks for {frames} frames, but their numbers are not consecutive: "
            f"{list_numbers(missing)} missing; number them as the frames are counted"
        )
    return frame_indices


def _shown_pictures(source: Path, masks: int) -> np.ndarray | None:
    """Which picture of an animated file each of its frames shows, if there is a mask for each picture; else None."""
    if not source.is_file() or not is_animated_format(source):
        return None
    pictures = np.array(probe_video(source).pictures, int)
    return pictures if pictures.max(initial=-1) + 1 == masks else None


def read_picture_numbers(path: Path, count: int) -> list[Decimal] | None:
    """The numbers in the names of pictures in frame order; None for a file, and for names without numbers."""
    if not holds_pictures(path):
        return None
    numbers = picture_numbers(image_files(path))
    return numbers if numbers is not None and len(numbers) == count else None


def _pair_numbers(
    path: Path, mask_numbers: Sequence[Decimal], frame_numbers: Sequence[Decimal], frame_indices: np.ndarray
) -> np.ndarray:
    places = {number: place for place, number in enumerate(mask_numbers)}
    shared = [number for number in frame_numbers if number in places]
    if not shared and len(mask_numbers) == len(frame_numbers) and not _missing_numbers(mask_numbers):
        return frame_indices  # frames 1001 to 1016, masks 0 to 15: both consecutive, and no number says otherwise
    missing = sorted({frame_numbers[index] for index in frame_indices.tolist()} - places.keys())
    if not missing:
        return np.array([places[frame_numbers[index]] for index in frame_indices.tolist()])
    hint = _every_nth_hint(len(mask_numbers), len(frame_numbers))
    raise InputError(
        f"{path} has {len(mask_numbers)} masks for {len(frame_numbers)} frames{hint}, and none with the number of "
        f"frame {list_numbers(missing)}; number masks as their frames, and give a black picture where nothing is seen"
        f"{every_nth_fix(path, len(mask_numbers), len(frame_numbers))}"
    )


def _missing_numbers(numbers: Sequence[Decimal]) -> list[int]:
    """Whole numbers between the first and the last that are not there, where they count by ones or by a step.

    None for seconds.
    """
    if any(number != int(number) for number in numbers) or len(numbers) < 2:
        return []
    integers = sorted({int(number) for number in numbers})
    step = min(later - earlier for earlier, later in pairwise(integers))
    if integers[-1] - integers[0] > 100 * step * len(integers):
        return [integers[0] + step]
    return sorted(set(range(integers[0], integers[-1], step)) - set(integers))


def _every_nth_hint(masks: int, frames: int) -> str:
    """Says that there may be masks of every n-th frame, where their count suggests it."""
    step = _nth(masks, frames)
    return f" (one mask for every {step} frames, it seems)" if step else ""


def every_nth_fix(path: Path, masks: int, frames: int) -> str:
    """Says how masks of every n-th frame become masks of all frames, where their count suggests that; else ""."""
    step = _nth(masks, frames)
    if not step:
        return ""
    return f', or interpolate them: mvmodel masks edit {path.name} "" --every {step} --out NEW.npz'


def _nth(masks: int, frames: int) -> int:
    """The step n if there is a mask of every n-th frame by their count, else 0."""
    if masks < 2 or masks >= frames:
        return 0
    step = round(frames / masks)
    return step if step > 1 and -(-frames // step) == masks else 0
