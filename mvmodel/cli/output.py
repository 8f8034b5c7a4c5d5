"""How the command line prints: tables for people, JSON for programs, one sentence for a mistake."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Sequence
from typing import Any, NoReturn


def talking_aside() -> contextlib.AbstractContextManager[Any]:
    """What a library prints while it works goes to standard error: standard output is for the result."""
    return contextlib.redirect_stdout(sys.stderr)


def print_json(value: Any, line: bool = False) -> None:
    """Print JSON, on one line if asked; what is no number becomes null."""
    print(json.dumps(_plain(value), indent=None if line else 2, default=str), flush=True)


def print_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table as wide as the terminal, or in full where the output goes to a file."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(_short(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def fail(sentence: str) -> NoReturn:
    """Say what is wrong on standard error and leave with exit code 2."""
    print(f"mvmodel: {sentence}", file=sys.stderr)
    sys.exit(2)


def _short(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return ", ".join(map(str, cell)) if isinstance(cell, (list, tuple)) else str(cell)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
