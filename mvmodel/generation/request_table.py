"""The table of requests: one video to generate a line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mvmodel.errors import InputError
from mvmodel.generation.requests import Request
from mvmodel.tables import Row, read_csv
from mvmodel.text import FILE_STEM, motion_slug
from mvmodel.video.manifest import resolve_inside

REQUEST_COLUMNS = {
    "name": ("request", "request_name", "id"),
    "motion": ("motion_name", "motion_label"),
    "prompt": ("caption", "text"),
    "masks": ("mask", "masks_file", "mask_file"),
    "seed": (),
    "negative_prompt": ("negative",),
}
"""Columns of a request table, and other names for them."""
MAX_REQUESTS = 10_000
"""Request tables with more lines are refused: that many videos take days, and a table can be divided."""
REQUIRED_COLUMNS = ("motion", "prompt", "masks")


def read_requests(table: Path) -> list[Request]:
    """Read a table with the columns motion, prompt, masks, seed (and optionally name, negative_prompt).

    `mvmodel.tables.read_csv` says which tables can be read. A motion is its slug or any label that has that slug. The
    column masks is the path of a file, relative to the table and inside its folder, or "words: SENTENCE" or "library:
    NAME". Edits may follow after a "|". Raises InputError naming table and line; an unknown column is refused.
    """
    table = Path(table)
    content = read_csv(table, REQUEST_COLUMNS, REQUIRED_COLUMNS, MAX_REQUESTS)
    if not content.columns:
        raise InputError(f"{table} is empty; its first line names the columns {', '.join(REQUEST_COLUMNS)}")
    if content.unused:
        raise InputError(
            f"{table} has a column {content.unused[0]!r}, which means nothing here; delete it, the columns are motion, "
            f"prompt, masks, seed, name, negative_prompt"
        )
    if not content.rows:
        raise InputError(f"{table} has column names and no requests; write one line for every video")
    root = table.resolve().parent
    requests = [_read_row(row, f"{table}, line {row.line}", root, i) for i, row in enumerate(content.rows, 1)]
    names = Counter(request.name for request in requests)
    duplicates = sorted(name for name, count in names.items() if count > 1)
    if duplicates:
        raise InputError(f"{table} has the names {', '.join(duplicates)} twice; give every request its own name")
    return requests


def _read_row(row: Row, where: str, root: Path, number: int) -> Request:
    """One row of a request table. where: for the error. root: the table's folder. number: of the row, from 1."""
    values: dict[str, Any] = {column: value for column, value in row.values.items() if value}
    for column in REQUIRED_COLUMNS:
        if column not in values:
            raise InputError(f"{where}: no {column}; every request needs motion, prompt and masks")
    try:
        motion = motion_slug(values["motion"])
        name = values.get("name") or f"{motion}-{number:02d}"
        if not FILE_STEM.fullmatch(name):
            raise InputError(f"{name!r} cannot name a file; use letters a-z, digits, - and _")
        source, is_file = _read_source(values["masks"], root)
        masks = (root / source if is_file else root / "masks" / f"{name}.npz").resolve()
        if not masks.is_relative_to(root):
            raise InputError(f"{source} lies outside the table's folder; move it inside")
        text = "" if is_file else source
        return Request(**{**values, "motion": motion, "name": name, "masks": masks, "source": text})
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except ValidationError as error:
        entry = error.errors()[0]
        raise InputError(f"{where}: {entry['loc'][0]}: {entry['msg']}, not {entry['input']!r}") from error


def _read_source(source: str, root: Path) -> tuple[str, bool]:
    """(what the column masks names, whether it is an .npz file). Files are spelled as they are in the folder."""
    if source.split(":")[0].strip().lower() in ("words", "library"):
        return source, False
    file, bar, edits = source.partition("|")
    try:
        path = resolve_inside(root, file.strip())
        if path.exists():
            file = file.replace(file.strip(), path.relative_to(root).as_posix())
    except InputError as error:
        raise InputError(f"{file.strip()} lies outside the table's folder; move it inside") from error
    return f"{file}{bar}{edits}", not bar and Path(file).suffix.lower() == ".npz"
