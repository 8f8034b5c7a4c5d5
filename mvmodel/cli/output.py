"""Output of the command line: tables for people, JSON for programs, one sentence for an error."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from mvmodel.text import printable_name


def stdout_to_stderr() -> contextlib.AbstractContextManager[Any]:
    """Redirect what a library prints to standard error, so that standard output holds only the result."""
    return contextlib.redirect_stdout(sys.stderr)


def print_json(value: Any, line: bool = False) -> None:
    """Print JSON, indented or on one `line`. Numbers that are not finite become null."""
    print(json.dumps(_to_json(value), indent=None if line else 2, default=str), flush=True)


def print_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table as wide as the terminal, or 200 columns wide if the output is not a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(_format_cell(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def print_error(sentence: str, program: str = "mvmodel") -> None:
    """Print an error on standard error, after the name of the program."""
    print(f"{program}: {printable_name(sentence)}", file=sys.stderr)


def _format_cell(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return ", ".join(map(str, cell)) if isinstance(cell, (list, tuple)) else str(cell)


def _to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, (str, Path)):
        return printable_name(str(value))
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_findings(findings: Sequence[Any], as_json: bool) -> None:
    """Print what a check-up found, a `Finding` a row. Exits with code 1 if something required is missing or broken."""
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        rows = [[finding.status, finding.name, finding.detail, finding.fix] for finding in findings]
        print_table(["status", "check", "detail", "fix"], rows)
    if any(finding.required and not finding.ok for finding in findings):
        raise typer.Exit(1)
