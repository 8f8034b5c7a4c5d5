"""`PictureSize`: width and height of clips, masks and videos in pixels, as people write them: 512x320, or 128."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from mvmodel.errors import InputError

MIN_SIDE, MAX_SIDE = 8, 4096
"""Smallest and largest width and height in pixels that a setting may have."""
_TEXT = re.compile(r"\s*(\d{1,6})\s*(?:[x×*]\s*(\d{1,6})\s*)?", re.IGNORECASE)
_EXAMPLES = 'a size is WIDTHxHEIGHT in pixels, such as "512x320", or one number for a square'


@dataclass(frozen=True)
class PictureSize:
    """A width and a height in pixels. `str` gives "512x320"."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), as in the shape of an array."""
        return self.height, self.width

    def check_multiple(self, multiple: int, pack: str) -> None:
        """Raise InputError, which names the nearest usable size, unless both are divisible by `multiple`.

        Args:
            multiple: What the pack's models need.
            pack: The pack's name, for the message.
        """
        if self.width % multiple or self.height % multiple:
            nearest = "x".join(str(max(multiple, round(side / multiple) * multiple)) for side in self.shape[::-1])
            raise InputError(
                f"the size {self} does not fit the pack {pack}, whose width and height are multiples of {multiple}; "
                f"use {nearest}"
            )


def parse_size(value: Any) -> PictureSize:
    """A size from "512x320", "128", 128, [512, 320] or {"width": 512, "height": 320}.

    Raises ValueError, in one sentence, for anything else and for sizes out of range.
    """
    if isinstance(value, PictureSize):
        return value
    sides: Sequence[Any] = ()
    if isinstance(value, str) and (match := _TEXT.fullmatch(value)):
        sides = (int(match[1]), int(match[2] or match[1]))
    elif isinstance(value, int) and not isinstance(value, bool):
        sides = (value, value)
    elif isinstance(value, Mapping) and set(value) == {"width", "height"}:
        sides = (value["width"], value["height"])
    elif isinstance(value, Sequence) and not isinstance(value, str):
        sides = value
    if len(sides) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        raise ValueError(f"{value!r} is no size; {_EXAMPLES}")
    if min(sides) < MIN_SIDE or max(sides) > MAX_SIDE:
        raise ValueError(f"{value!r} is no size; width and height are {MIN_SIDE} to {MAX_SIDE} pixels")
    return PictureSize(*sides)


def parse_size_option(text: str | None, option: str = "--size") -> PictureSize | None:
    """The size that a command-line option gives; None for None. Raises InputError that names the option."""
    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from error


Size = Annotated[
    PictureSize,
    BeforeValidator(parse_size),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["512x320", 128]}),
]
"""The type of a field of a `Config` that holds a size."""
