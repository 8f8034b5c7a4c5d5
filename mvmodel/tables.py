"""Tables as Excel, LibreOffice and other programs write them: CSV with any usual delimiter, and JSON lines."""

from __future__ import annotations

import csv
import difflib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError
from mvmodel.text_files import read_text

DELIMITERS = ",;\t"
_NEAR_NAME = 0.8
"""Likeness, of 0 to 1, from which an unknown column is taken for a misspelt one."""


MAX_ROWS = 100_000
"""Tables with more rows are refused."""


@dataclass(frozen=True)
class Row:
    """line: where it begins in the file, from 1. values: column -> its text without spaces at the ends."""

    line: int
    values: dict[str, str]


@dataclass(frozen=True)
class Table:
    """columns: spelling in the file -> the column that it means. unused: columns that mean none of the known ones."""

    path: Path
    columns: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def read_csv(
    path: Path, names: Mapping[str, Sequence[str]], required: Sequence[str] = (), max_rows: int = MAX_ROWS
) -> Table:
    """Read a table with a line of column names. Blank lines and lines of delimiters alone are skipped.

    The delimiter is the one of `DELIMITERS` that gives the most known columns; Excel's line "sep=;" is obeyed.

    Args:
        path: UTF-8 or UTF-16.
        names: Known column -> other names for it. Letter case, spaces and dashes do not matter. A column's own name
            goes before the other ones, and these in their order.
        required: Columns that must be there.
        max_rows: Reading stops at the row after this many.

    Raises:
        InputError: Names the file and the line or the column that is wrong, and the fix. Among them are lines with more
            values than columns, as a comma without quotes makes them, misspelt columns, formulas, and too many rows.
    """
    path = Path(path)
    text = read_text(path)
    first_line, _, remainder = text.partition("\n")
    separator = re.fullmatch(r'"?sep=(.)"?', first_line.strip(" ,"))
    lines, skipped = (remainder.split("\n"), 1) if separator else (text.split("\n"), 0)
    delimiter = separator.group(1) if separator else _choose_delimiter(lines, names)
    parsed = _parse_lines(path, lines, delimiter, skipped)
    header_line, header = next(parsed, (1, []))
    if not header:
        return Table(path, {})
    columns, unused = match_columns(path, [name.strip() for name in header if name.strip()], names, required)
    meanings = [columns.get(name.strip(), "") for name in header]
    rows: list[Row] = []
    for line, values in parsed:
        if len(rows) == max_rows:
            raise InputError(
                f"{path}, line {line}: the table has more rows than the limit of {max_rows:,}; divide it into several"
            )
        _check_width(f"{path}, line {line}", header, values, delimiter)
        if delimiter == "," and len(values) < len(header):
            _check_spacing(f"{path}, line {line}", lines[header_line - 1 - skipped], lines[line - 1 - skipped])
        pairs = zip(meanings, values, strict=False)
        _check_formulas(f"{path}, line {line}", values)
        rows.append(Row(line, {meaning: value.strip() for meaning, value in pairs if meaning}))
    return Table(path, columns, rows, unused)


def read_json_rows(path: Path, names: Mapping[str, Sequence[str]], required: Sequence[str] = ()) -> Table:
    """Read a file of one JSON object a line, or one JSON list of objects, like a table; see `read_csv`."""
    path = Path(path)
    text = read_text(path)
    is_list = text.lstrip().startswith("[")
    lines = [(1, text)] if is_list else [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    objects: list[tuple[int, Any]] = []
    for number, line in lines:
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not valid JSON ({error}); write one object a line") from error
        objects += enumerate(content, 1) if is_list else [(number, content)]
    if len(objects) > MAX_ROWS:
        raise InputError(
            f"{path} has {len(objects):,} rows, more than the limit of {MAX_ROWS:,}; divide it into several"
        )
    for number, value in objects:
        if not isinstance(value, dict):
            raise InputError(f"{path}, line {number}: not a JSON object; write one with the key {next(iter(names))!r}")
    spellings = list(dict.fromkeys(key for _, value in objects for key in value))
    if not objects:
        return Table(path, {})
    columns, unused = match_columns(path, spellings, names, required)
    rows = [
        Row(number, {columns[key]: _to_text(item) for key, item in value.items() if key in columns})
        for number, value in objects
    ]
    return Table(path, columns, rows, unused)


def match_columns(
    path: Path, spellings: Sequence[str], names: Mapping[str, Sequence[str]], required: Sequence[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """(spelling -> the column that it means, the spellings that mean none). Raises InputError as `read_csv` says."""
    columns: dict[str, str] = {}
    for column, others in names.items():
        for candidate in (column, *others):
            same = [spelling for spelling in spellings if normalize_column(spelling) == candidate]
            if len(same) > 1 or (same and spellings.count(same[0]) > 1):
                raise InputError(f"{path} has the column {same[0]!r} twice; delete one of them")
            if same:
                columns[same[0]] = column
                break
    unused = [spelling for spelling in spellings if spelling not in columns]
    column_of_name = {name: column for column, others in names.items() for name in (column, *others)}
    missing = [column for column in names if column not in columns.values()]
    for spelling in unused:
        near = difflib.get_close_matches(normalize_column(spelling), column_of_name, n=1, cutoff=_NEAR_NAME)
        if near and column_of_name[near[0]] in missing:
            raise InputError(f"{path} has a column {spelling!r}; did you mean {near[0]!r}? Rename or delete it")
    absent = [column for column in required if column not in columns.values()]
    if absent:
        column_names = ", ".join(spellings) or "none"
        raise InputError(
            f"{path}: no column {absent[0]!r}; the first line should name the columns {', '.join(required)} "
            f"(it names {column_names})"
        )
    return columns, unused


def normalize_column(name: str) -> str:
    """ "Start Frame" -> "start_frame"."""
    return re.sub(r"[\s\-]+", "_", unicodedata.normalize("NFKC", name).strip().casefold())


def _choose_delimiter(lines: Sequence[str], names: Mapping[str, Sequence[str]]) -> str:
    accepted_names = {name for column, others in names.items() for name in (column, *others)}
    header = next((line for line in lines if line.strip(f"{DELIMITERS} ")), "")

    def count_columns(delimiter: str) -> tuple[int, int]:
        fields = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
        return len({normalize_column(name) for name in fields} & accepted_names), len(fields)

    return max(DELIMITERS, key=count_columns)


def _parse_lines(path: Path, lines: Sequence[str], delimiter: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """(number of the first line, values) of every row that holds a value."""
    reader = csv.reader(
        (f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True
    )
    while True:
        line = reader.line_num + 1 + skipped
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{path}, line {line}: the quotes are not closed, or text follows them ({error}); put quotes around "
                f'the whole value, and write a quote inside it twice ("")'
            ) from error
        if values is None:
            return
        if any(value.strip() for value in values):
            yield line, values


def _check_width(where: str, header: Sequence[str], values: Sequence[str], delimiter: str) -> None:
    """Raises InputError for a row with more values than there are columns."""
    surplus = [value for value in values[len(header) :] if value.strip()]
    unnamed = [value for name, value in zip(header, values, strict=False) if value.strip() and not name.strip()]
    if surplus or unnamed or (len(values) > len(header) and header[-1].strip()):
        name_count = sum(bool(name.strip()) for name in header)
        sign = {",": "a comma", ";": "a semicolon", "\t": "a tab"}.get(delimiter, delimiter)
        raise InputError(
            f"{where}: {len(values)} values for {name_count} columns; put quotes around a value that holds {sign}"
        )


def _check_formulas(where: str, values: Sequence[str]) -> None:
    """Raises InputError for a formula of a spreadsheet, or an error in place of its result."""
    for value in map(str.strip, values):
        if re.fullmatch(r"=\s*[\w+\-(\"'$].*|#(REF|NAME|VALUE|DIV/0|N/A|NUM|NULL)[!?]?", value, re.DOTALL):
            raise InputError(f"{where}: {value!r} is a formula or its error, not a text; write its result in its place")


def _check_spacing(where: str, header_line: str, line: str) -> None:
    """Raises InputError for a short row with a comma of prose, such as "a.mp4,a horse, brown" under five columns."""
    if '"' not in line and re.search(r",\s+\S", line) and not re.search(r",\s+\S", header_line):
        raise InputError(
            f"{where}: fewer values than columns, and a comma that may belong to a text; put quotes around texts "
            f"with commas, and write a comma for every column that is left empty"
        )


def _to_text(value: Any) -> str:
    """A JSON value as a table would hold it; a list gives its first item."""
    if isinstance(value, list):
        value = value[0] if value else None
    return "" if value is None else str(value).strip()
