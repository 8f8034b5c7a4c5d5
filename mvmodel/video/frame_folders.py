"""The sequences in one folder of pictures: frames, the masks between them, and pictures that belong to neither."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from mvmodel.video.config import DecodeLimits
from mvmodel.video.containers import UnusableClip
from mvmodel.video.guard import run_guarded
from mvmodel.video.mask_names import has_mask_word, plain_sequence_name
from mvmodel.video.picture_sequences import PictureName, parse_names, sequence_path, sort_pictures

_MIN_PICTURES = 2
"""Pictures of one name that are a sequence; a lone one is a stray."""
_MIN_MAIN_PICTURES = 4
"""Pictures of a sequence beside which a lone picture is no frame."""
_MAX_MASK_COLOURS = 40
_MIN_EXTREME_SHARE = 0.9
"""A grey picture whose pixels are black or white to this share is a mask, with anti-aliased or JPEG edges."""


@dataclass(frozen=True)
class FrameFolder:
    """What a folder of pictures holds.

    frames: paths of the sequences of frames: the folder itself, or `sequence_path`s. masks: sequence of frames -> its
    masks, where they are in the same folder. unused: (path, why it is no clip).
    """

    frames: list[Path]
    masks: dict[Path, Path] = field(default_factory=dict)
    unused: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Sequence:
    path: Path
    name: PictureName
    files: list[Path]
    numbers: frozenset[object]

    @property
    def plain_name(self) -> str:
        return plain_sequence_name(self.name.prefix, self.name.tail)


def read_frame_folder(folder: Path, files: list[Path]) -> FrameFolder:
    """Sorts a folder's pictures into sequences by the text around their numbers, and finds the masks among them."""
    sequences, strays = _group_pictures(folder, files)
    if len(sequences) == 1 and not strays:
        return FrameFolder([folder])
    if not sequences or (strays and max(len(sequence.files) for sequence in sequences) < _MIN_MAIN_PICTURES):
        return FrameFolder([folder])
    unused = [(file, "it is no part of the sequence of pictures beside it; its name differs") for file in strays]
    frames = [sequence for sequence in sequences if not has_mask_word(sequence.name.prefix, sequence.name.tail)]
    if not frames:  # a clip about masks: nothing says otherwise
        frames = sequences
    named_masks = [sequence for sequence in sequences if sequence not in frames]
    masks: dict[Path, Path] = {}
    for mask in named_masks:
        owner = _find_owner(mask, frames)
        if owner is None or owner.path in masks:
            unused.append((mask.path, "masks, but no frames of this name are beside them"))
        else:
            masks[owner.path] = mask.path
    clips: list[_Sequence] = []
    for sequence in frames:
        twin = _find_twin(sequence, frames)
        if twin is None:
            clips.append(sequence)
        elif _are_masks(sequence) and not _are_masks(twin):
            masks.setdefault(twin.path, sequence.path)
        elif _are_masks(twin) and not _are_masks(sequence):
            clips.append(sequence)
        else:
            kinds = f"{sequence.files[0].name} and {twin.files[0].name}"
            unused.append((sequence.path, f"pictures of two kinds have the same numbers ({kinds}); keep one kind"))
    return FrameFolder([clip.path for clip in clips], masks, unused)


def split_sequences(folder: Path, files: list[Path]) -> dict[Path, str]:
    """The sequences in a folder of masks, and what their names share: the folder itself ("") if it holds one."""
    sequences, strays = _group_pictures(folder, files)
    if len(sequences) < 2 or strays:
        return {folder: ""}
    return {sequence.path: sequence.plain_name for sequence in sequences}


def _group_pictures(folder: Path, files: list[Path]) -> tuple[list[_Sequence], list[Path]]:
    """Sequences of at least two pictures, and the pictures that are in none."""
    groups: dict[tuple[str, str, str], list[tuple[Path, PictureName]]] = {}
    names = parse_names(files)
    for file, name in zip(files, names, strict=True):
        groups.setdefault(name.sequence, []).append((file, name))
    groups = _join_groups(groups)
    sequences, strays = [], []
    for members in groups.values():
        numbers = frozenset(name.number for _, name in members if name.number is not None)
        if len(members) < _MIN_PICTURES or len(numbers) < len(members):
            strays += [file for file, _ in members]
            continue
        pictures = sort_pictures([file for file, _ in members])
        path = sequence_path(folder, members[0][1])
        sequences.append(_Sequence(path, members[0][1], pictures, numbers))
    return sequences, strays


def _join_groups(
    groups: dict[tuple[str, str, str], list[tuple[Path, PictureName]]],
) -> dict[tuple[str, str, str], list[tuple[Path, PictureName]]]:
    """Joins what only looks like several sequences.

    Clock times as names (00_01_05.png) are one sequence. Frames of one sequence may have several suffixes, as long as
    no number is there twice.
    """
    if len(groups) > 1 and _are_clock_times([name for members in groups.values() for _, name in members]):
        return {}
    joined: dict[tuple[str, str, str], list[tuple[Path, PictureName]]] = {}
    for (prefix, tail, suffix), members in groups.items():
        same = [key for key in joined if key[:2] == (prefix, tail)]
        numbers = {name.number for _, name in members}
        twin = next((key for key in same if not numbers & {name.number for _, name in joined[key]}), None)
        joined.setdefault(twin or (prefix, tail, suffix), []).extend(members)
    return joined


def _are_clock_times(names: list[PictureName]) -> bool:
    """Whether names without letters are minutes and seconds that go on where a minute ends.

    1_0001 to 1_0016 and 2_0001 to 2_0016 are two sequences: they start again long before a minute is over.
    """
    if len({(name.tail, name.suffix) for name in names}) > 1 or any(c.isalpha() for n in names for c in n.prefix):
        return False
    moments = []
    for name in names:
        parts = [int(part) for part in re.findall(r"\d+", name.prefix)]
        if not parts or name.number is None or not 0 <= name.number < 60 or max(parts[1:], default=0) >= 60:
            return False
        moments.append(sum(part * 60 ** (len(parts) - place) for place, part in enumerate(parts)) + int(name.number))
    moments.sort()
    steps = [later - earlier for earlier, later in pairwise(moments)]
    jumps = [step for step, first in zip(steps, moments, strict=False) if (first + step) // 60 > first // 60]
    usual = sorted(steps)[len(steps) // 2]
    return bool(steps) and min(steps) > 0 and max(jumps, default=0) <= 5 * usual


def _find_owner(mask: _Sequence, frames: list[_Sequence]) -> _Sequence | None:
    """The frames that a sequence named as masks belongs to: the same name otherwise, or the only frames there."""
    same_name = [sequence for sequence in frames if sequence.plain_name == mask.plain_name]
    candidates = same_name or (frames if len(frames) == 1 else [])
    return next((sequence for sequence in candidates if sequence.numbers & mask.numbers), None)


def _find_twin(sequence: _Sequence, frames: list[_Sequence]) -> _Sequence | None:
    """Another sequence of the same name with another suffix: 00000.jpg and 00000.png."""
    key = sequence.name.sequence[:2]
    return next((other for other in frames if other is not sequence and other.name.sequence[:2] == key), None)


def _are_masks(sequence: _Sequence) -> bool:
    """Whether the first, the middle and the last picture look like masks."""
    count = len(sequence.files)
    files = [sequence.files[index] for index in sorted({0, count // 2, count - 1})]
    try:
        return all(run_guarded(file, DecodeLimits(), looks_like_mask, file) for file in files)
    except UnusableClip:
        return False


def looks_like_mask(file: Path) -> bool:
    """Whether a picture has as few colours, or as extreme grey levels, as masks have. Runs in the worker."""
    try:
        with Image.open(file) as image:
            if image.mode == "1" or image.mode.startswith("I"):
                return True
            if image.mode in ("RGBA", "LA"):
                return image.getchannel("A").getextrema() == (0, 255)
            if image.mode == "P":
                return len(image.getcolors(256) or []) <= _MAX_MASK_COLOURS
            pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    except (OSError, ValueError, Image.DecompressionBombError):
        return False
    if len(np.unique(pixels, axis=0)) <= _MAX_MASK_COLOURS:
        return True
    is_grey = bool((np.ptp(pixels, axis=1) <= 2).all())
    extreme = float(((pixels[:, 0] < 16) | (pixels[:, 0] > 239)).mean())
    return is_grey and extreme >= _MIN_EXTREME_SHARE
