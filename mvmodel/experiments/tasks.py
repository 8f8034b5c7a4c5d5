"""Requests as an experiment's tasks."""

from __future__ import annotations

from pathlib import Path

from mvmodel.backends.load import load_backend
from mvmodel.experiments.cells import Task
from mvmodel.generation.request_table import read_requests
from mvmodel.generation.requests import Request, load_masks
from mvmodel.packs import Pack
from mvmodel.text import find_object_words


def load_task(request: Request, pack: Pack) -> Task:
    """A request with its masks read; the judge looks for the objects that its prompt names, else for the prompt."""
    sequence = load_masks(request, load_backend(pack))
    words = tuple(find_object_words(request.prompt, pack.info.objects)) or (request.prompt,)
    return Task(request.name, request.prompt, sequence.masks, request.seed, words, sequence.fps)


def load_tasks(table: Path, motion: str | None, pack: Pack) -> list[Task]:
    """The requests of a motion (None: of all) in a table of requests."""
    return [load_task(request, pack) for request in read_requests(table) if motion in (None, request.motion)]
