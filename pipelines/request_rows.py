"""The rows of a home's request table, and those that no motion takes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvmodel.errors import InputError
from pipelines.resources import Settings
from pipelines.settings import RequestsConfig

if TYPE_CHECKING:
    from mvmodel.generation.requests import Request


def find_request_table(settings: Settings) -> Path | None:
    """The request table of the settings. None without one: `file` is empty, or the default and not there.

    Raises InputError if the settings name a table that does not exist.
    """
    name = settings.read("requests", RequestsConfig).file
    if not name:
        return None
    table = settings.path(name)
    if table.exists():
        return table
    if name == RequestsConfig().file:
        return None
    raise InputError(f'requests: there is no table {table}; correct file, or set it to "" for default requests')


def read_all_requests(settings: Settings) -> list[Request]:
    """The rows of the request table; none if there is no table."""
    from mvmodel.generation.request_table import read_requests

    table = find_request_table(settings)
    return read_requests(table) if table else []


def describe_unused_rows(settings: Settings, requests: Sequence[Request], motions: Collection[str]) -> str:
    """A sentence on rows for motions that are not among `motions` (slugs); "" if there are none.

    The table that is the default is about the sample clips. Its rows for them say nothing about other clips.
    """
    file = settings.read("requests", RequestsConfig).file
    unused = {request.motion for request in requests} - set(motions)
    if not unused or file == RequestsConfig().file:
        return ""
    table, names = settings.path(file), ", ".join(sorted(unused))
    return (
        f"{table} has requests for motions that this home does not have ({names}); they give no videos. Its motions "
        f"are {', '.join(sorted(motions)) or 'not known yet'}"
    )
