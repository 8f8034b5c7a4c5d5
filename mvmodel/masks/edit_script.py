"""Edits as text, for the command line and for request tables: "flip", "move 10 -5", "scale 0.8 outside=keep".

An edit's name, then its values in order or by name. Several are separated by "|" and done from left to right.
"""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError
from mvmodel.masks.combine import combine, replace_motion, replace_shape, resize
from mvmodel.masks.edit import EDITS
from mvmodel.masks.sequence import MaskSequence

_WITH_FILES = {"combine": combine, "replace-shape": replace_shape, "replace-motion": replace_motion}
_ALL: dict[str, Any] = {**EDITS, "resize": resize, **_WITH_FILES}


def edits_help() -> str:
    """One line an edit: its name and values."""
    lines = []
    for name, edit in _ALL.items():
        values = list(inspect.signature(edit).parameters.values())[1:]
        first = ["FILE"] if name in _WITH_FILES else []
        shown = [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in values[len(first) :]]
        lines.append(" ".join([name, *first, *shown]))
    return "\n".join(lines)


def run_edits(sequence: MaskSequence, text: str, folder: Path = Path()) -> MaskSequence:
    """Do the edits that a text names. folder: what files in it are relative to.

    Raises InputError naming the edit and what it takes.
    """
    for step in filter(None, (part.strip() for part in text.split("|"))):
        sequence = _one(sequence, step, Path(folder))
    return sequence


def edit_files(text: str) -> list[str]:
    """The files that the edits in a text read, as they name them. Raises InputError as `run_edits` does."""
    steps = (_parse(part.strip()) for part in text.split("|") if part.strip())
    return [str(next(iter(values.values()))) for name, values in steps if name in _WITH_FILES]


def _one(sequence: MaskSequence, step: str, folder: Path) -> MaskSequence:
    name, values = _parse(step)
    if name in _WITH_FILES:
        from mvmodel.masks.files import read_masks

        key = next(iter(values))
        other = read_masks(folder / str(values[key]))
        values[key] = other.masks[int(other.coverage().argmax())] if name == "replace-shape" else other
    return _ALL[name](sequence, **values)  # type: ignore[no-any-return]


def _parse(step: str) -> tuple[str, dict[str, Any]]:
    """An edit's name and values; the file of one that reads a file comes first among them."""
    try:
        name, *words = shlex.split(step)
    except ValueError as error:
        raise InputError(f"the edit {step!r} cannot be read ({error})") from error
    if name not in _ALL:
        raise InputError(f"there is no edit {name!r}; there are {', '.join(_ALL)}")
    edit = _ALL[name]
    parameters = list(inspect.signature(edit).parameters.values())[1:]
    values: dict[str, Any] = {}
    free = [parameter.name for parameter in parameters]
    for word in words:
        key, found, value = word.partition("=")
        if not found:
            if not free:
                raise InputError(f"the edit {step!r} has too many values; it takes {_usage(name)}")
            key, value = free[0], word
        key = key.replace("-", "_")
        if key not in free:
            raise InputError(f"the edit {step!r} takes no {key!r}; it takes {_usage(name)}")
        free.remove(key)
        values[key] = _value(step, key, value, parameters)
    missing = [p.name for p in parameters if p.default is p.empty and p.name not in values]
    if missing:
        raise InputError(f"the edit {step!r} lacks {', '.join(missing)}; it takes {_usage(name)}")
    return name, {p.name: values[p.name] for p in parameters if p.name in values}


def _usage(name: str) -> str:
    return next(line for line in edits_help().splitlines() if line.split()[0] == name)


def _value(step: str, key: str, text: str, parameters: list[inspect.Parameter]) -> Any:
    """A value as the kind that the edit declares."""
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
            return float(text)
        except ValueError:
            raise InputError(f"the edit {step!r}: {key} is a number, not {text!r}") from None
    if "Outside" in declared and text not in ("clip", "keep"):
        raise InputError(f"the edit {step!r}: outside is clip or keep, not {text!r}")
    return text
