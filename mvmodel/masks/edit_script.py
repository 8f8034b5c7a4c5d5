"""Edits as text, for the command line and for request tables: "flip", "move 10 -5", "scale 0.8 outside=keep".

An edit's name, then its values in order or by name. Several edits are separated by "|" and applied from left to right.
"""

from __future__ import annotations

import inspect
import math
import shlex
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError
from mvmodel.masks.combine import combine, replace_motion, replace_shape, resize
from mvmodel.masks.edit import EDITS
from mvmodel.masks.extend import extend
from mvmodel.masks.files import read_masks
from mvmodel.masks.fit import fit_masks
from mvmodel.masks.sequence import MaskSequence
from mvmodel.picture_size import PictureSize

_FILE_EDITS = {"combine": combine, "replace-shape": replace_shape, "replace-motion": replace_motion}
_SHIFT_EDITS = ("move", "pan", "duplicate")
_SHIFT_RULE = "dx and dy are pixels; between -1 and 1, they are shares of the width and height: 0.1 is a tenth."
_EDITS_BY_NAME: dict[str, Any] = {**EDITS, "extend": extend, "resize": resize, **_FILE_EDITS}


def edits_help() -> str:
    """One line per edit: its name and values."""
    lines = []
    for name, edit in _EDITS_BY_NAME.items():
        parameters = list(inspect.signature(edit).parameters.values())[1:]
        file = ["FILE"] if name in _FILE_EDITS else []
        values = [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters[len(file) :]]
        lines.append(" ".join([name, *file, *values]))
    return "\n".join([*lines, _SHIFT_RULE])


def run_edits(sequence: MaskSequence, text: str, folder: Path = Path()) -> MaskSequence:
    """Applies the edits of a text. Raises InputError naming the edit and its usage.

    Args:
        sequence: The masks to edit.
        text: The edits, such as "flip | scale 0.8".
        folder: Files named in the text are relative to it.
    """
    for step in filter(None, (part.strip() for part in text.split("|"))):
        sequence = _apply_edit(sequence, step, Path(folder))
    return sequence


def edit_files(text: str) -> list[str]:
    """The files that the edits of a text read, as written there. Raises InputError as `run_edits` does."""
    steps = (_parse(part.strip()) for part in text.split("|") if part.strip())
    return [str(next(iter(values.values()))) for name, values in steps if name in _FILE_EDITS]


def _apply_edit(sequence: MaskSequence, step: str, folder: Path) -> MaskSequence:
    name, values = _parse(step)
    if name in _FILE_EDITS:
        key = next(iter(values))
        second = read_masks(folder / str(values[key]))
        if name == "replace-shape":
            values[key] = second.masks[int(second.coverage().argmax())]
        else:
            size = PictureSize(sequence.width, sequence.height)
            values[key] = fit_masks(second, size) if name == "combine" else second
    if name in _SHIFT_EDITS:
        for axis, side in (("dx", sequence.width), ("dy", sequence.height)):
            if 0 < abs(values.get(axis, 0)) < 1:
                values[axis] *= side
    return _EDITS_BY_NAME[name](sequence, **values)  # type: ignore[no-any-return]


def _parse(step: str) -> tuple[str, dict[str, Any]]:
    """An edit's name and values. The file of an edit that reads one is the first value."""
    try:
        name, *words = shlex.split(step)
    except ValueError as error:
        raise InputError(f"the edit {step!r} cannot be read ({error})") from error
    if name not in _EDITS_BY_NAME:
        raise InputError(f"there is no edit {name!r}; there are {', '.join(_EDITS_BY_NAME)}")
    edit = _EDITS_BY_NAME[name]
    parameters = list(inspect.signature(edit).parameters.values())[1:]
    values: dict[str, Any] = {}
    unset = [parameter.name for parameter in parameters]
    for word in words:
        key, separator, value = word.partition("=")
        if not separator:
            if not unset:
                raise InputError(f"the edit {step!r} has too many values; it takes {_usage(name)}")
            key, value = unset[0], word
        key = key.replace("-", "_")
        if key not in unset:
            raise InputError(f"the edit {step!r} takes no {key!r}; it takes {_usage(name)}")
        unset.remove(key)
        values[key] = _value(step, key, value, parameters)
    missing = [p.name for p in parameters if p.default is p.empty and p.name not in values]
    if missing:
        raise InputError(f"the edit {step!r} lacks {', '.join(missing)}; it takes {_usage(name)}")
    return name, {p.name: values[p.name] for p in parameters if p.name in values}


def _usage(name: str) -> str:
    return next(line for line in edits_help().splitlines() if line.split()[0] == name)


def _value(step: str, key: str, text: str, parameters: list[inspect.Parameter]) -> Any:
    """A value of the type that the edit declares."""
    declared = str(next(p for p in parameters if p.name == key).annotation)
    if "bool" in declared:
        if text.lower() not in {"true", "false", "yes", "no", "1", "0"}:
            raise InputError(f"the edit {step!r}: {key} is yes or no, not {text!r}")
        return text.lower() in {"true", "yes", "1"}
    if "int" in declared and "float" not in declared:
        if text.lstrip("-").isdigit():
            return int(text)
        if "str" not in declared:
            raise InputError(f"the edit {step!r}: {key} is a whole number, not {text!r}")
        return text
    if "float" in declared or "Numbers" in declared:
        try:
            number = float(text)
        except ValueError:
            raise InputError(f"the edit {step!r}: {key} is a number, not {text!r}") from None
        if not math.isfinite(number):
            raise InputError(f"the edit {step!r}: {key} is a finite number, not {text!r}")
        return number
    if "Outside" in declared and text not in ("clip", "keep"):
        raise InputError(f"the edit {step!r}: outside is clip or keep, not {text!r}")
    return text
