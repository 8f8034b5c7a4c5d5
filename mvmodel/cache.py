"""`Cache`: results that are computed once. A folder per result, named by the hash of everything that decides it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mvmodel.files import atomic_folder

NAME_LENGTH = 24
"""Characters of a recipe's hash that name a result's folder: 96 bits."""


class Cache:
    """Results below `folder`, as `<kind>/<recipe>/`. A result appears whole or not at all.

    recipe: a hash over all that decides a result: inputs, settings with their seed, model pack and `code_version`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def path_of(self, kind: str, recipe: str) -> Path:
        """The folder of a result, whether it exists or not."""
        return self.folder / kind / recipe[:NAME_LENGTH]

    def get_or_build(self, kind: str, recipe: str, build: Callable[[Path], Any]) -> Path:
        """The folder of a result. Calls `build(folder)` to fill it if it does not exist; a failed build leaves none."""
        folder = self.path_of(kind, recipe)
        if not folder.exists():
            try:
                with atomic_folder(folder) as partial:
                    build(partial)
            except OSError:
                if not folder.exists():  # else another process has built the same meanwhile
                    raise
        return folder
