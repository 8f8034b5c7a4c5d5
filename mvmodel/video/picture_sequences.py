"""Sequences of pictures by their names: numbers, order, gaps, and several sequences in one folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

_NUMBER = re.compile(r"(?P<prefix>.*?)(?P<number>(?:(?<![^._ \-])-)?\d+)(?P<tail>\D*)")
"""The last whole number of a name. A minus after a letter or digit is a separator, as in clip-0001."""
_DECIMAL = re.compile(r"(?P<prefix>.*?)(?P<number>(?:(?<![^._ \-])-)?\d+(?:\.\d+)?)(?P<tail>\D*)")
_EXPORT_HASH = re.compile(r"(_(jpe?g|png))?\.rf\.[0-9a-f]+$", re.IGNORECASE)
"""What Roboflow adds to every name: frame_0001_jpg.rf.5f2c....jpg"""
_PLACE = "%d"
"""Stands for the number in the name of a sequence, as in FFmpeg: shots/a_%d.png"""
_MAX_LISTED = 6
"""Numbers that a message lists; the others are counted."""


@dataclass(frozen=True)
class PictureName:
    """A picture's name in parts: prefix, number, tail, and the suffix in lower case. number: None without one."""

    prefix: str
    number: Decimal | None
    tail: str
    suffix: str

    @property
    def sequence(self) -> tuple[str, str, str]:
        """What all names of a sequence share."""
        return self.prefix.casefold(), self.tail.casefold(), self.suffix


def parse_names(files: Sequence[Path]) -> list[PictureName]:
    """The names of a folder's pictures in parts, in the order given.

    Numbers are whole numbers, or seconds with decimals where all names of the folder read as such.
    """
    decimals = [_parse_name(file, _DECIMAL) for file in files]
    if _are_seconds(decimals):
        return decimals
    return [_parse_name(file, _NUMBER) for file in files]


def _parse_name(file: Path, expression: re.Pattern[str]) -> PictureName:
    match = expression.fullmatch(_EXPORT_HASH.sub("", file.stem))
    if match is None:
        return PictureName(file.stem, None, "", file.suffix.lower())
    return PictureName(match["prefix"], Decimal(match["number"]), match["tail"], file.suffix.lower())


def _are_seconds(names: Sequence[PictureName]) -> bool:
    """Whether the numbers with a point are seconds (0.0, 0.042), not two whole numbers (take 1.0001, version 1.10)."""
    numbers = [name.number for name in names if name.number is not None]
    texts = [str(number).lstrip("-").partition(".") for number in numbers]
    if len(numbers) < max(len(names), 2) or len({name.sequence for name in names}) > 1:
        return False
    if not any(point for _, point, _ in texts) or len(set(numbers)) < len(numbers):
        return False
    if len({integer_part for integer_part, _, _ in texts}) == 1:
        parts = sorted(int(part or 0) for _, _, part in texts)
        return parts != list(range(parts[0], parts[0] + len(parts))) and len({len(part) for _, _, part in texts}) > 1
    ordered = sorted(numbers)
    steps = sorted(later - earlier for earlier, later in pairwise(ordered))
    return steps[-1] <= 3 * steps[len(steps) // 2]


def natural_key(path: Path) -> list[Any]:
    """A sort key that puts frame_2 before frame_10."""
    return [int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", path.name)]


def sort_pictures(files: Sequence[Path]) -> list[Path]:
    """Pictures in frame order: by number if they are one sequence, else by the numbers and words in their names."""
    numbers = picture_numbers(files)
    if numbers is None:
        return sorted(files, key=natural_key)
    return [file for _, file in sorted(zip(numbers, files, strict=True), key=lambda pair: pair[0])]


def picture_numbers(files: Sequence[Path]) -> list[Decimal] | None:
    """The number of each picture, or None if they are no sequence: different names, no numbers, or a number twice."""
    names = parse_names(files)
    numbers = [name.number for name in names if name.number is not None]
    one_sequence = len({(name.prefix.casefold(), name.tail.casefold()) for name in names}) == 1
    return numbers if one_sequence and len(set(numbers)) == len(names) else None


def picture_moments(files: Sequence[Path]) -> list[Decimal] | None:
    """Seconds from the first picture to each, for pictures in frame order that are named by seconds; else None."""
    numbers = picture_numbers(files)
    if numbers is None or all(number == int(number) for number in numbers):
        return None
    return [number - numbers[0] for number in numbers]


def describe_gaps(files: Sequence[Path]) -> str:
    """Says which numbers are missing in a sequence that otherwise counts evenly; "" if none are."""
    numbers = picture_numbers(files)
    if numbers is None or len(numbers) < 3 or any(number != int(number) for number in numbers):
        return ""
    ordered = sorted(int(number) for number in numbers)
    steps = [later - earlier for earlier, later in pairwise(ordered)]
    step = Counter(steps).most_common(1)[0][0]
    gaps = [
        (earlier, count) for earlier, count in zip(ordered, steps, strict=False) if count > step and count % step == 0
    ]
    if not gaps or len(gaps) > len(steps) // 2:
        return ""
    missing = [number for earlier, count in gaps[:1000] for number in range(earlier + step, earlier + count, step)[:99]]
    return f"numbers are missing among its pictures ({list_numbers(missing)}); the others are taken as neighbours"


def list_numbers(numbers: Sequence[int | Decimal]) -> str:
    """Numbers for a message: the first ones, and how many others there are."""
    text = ", ".join(str(number) for number in numbers[:_MAX_LISTED])
    others = len(numbers) - _MAX_LISTED
    return f"{text} and {others} others" if others > 0 else text


def sequence_path(folder: Path, name: PictureName) -> Path:
    """The path that stands for one of several sequences in a folder: its pictures' names with %d for the number."""
    prefix, tail = (part.replace("%", "%%") for part in (name.prefix, name.tail))
    return folder / f"{prefix}{_PLACE}{tail}{name.suffix}"


def is_sequence_path(path: Path) -> bool:
    """Whether a path stands for some of a folder's pictures, as `sequence_path` writes it."""
    return _PLACE in path.name.replace("%%", "") and path.parent.is_dir() and not path.exists()


def select_sequence(path: Path, files: Sequence[Path]) -> list[Path]:
    """Those of a folder's pictures that belong to a sequence path."""
    names = parse_names(files)
    return [
        file
        for file, name in zip(files, names, strict=True)
        if name.number is not None and sequence_path(path.parent, name).name.casefold() == path.name.casefold()
    ]
