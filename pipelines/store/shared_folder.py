"""Folders that several machines share through a store: cached results, and builds in progress with their checkpoints.

<path>/index.json       relative path -> SHA-256 of every file, written last
<path>/<SHA-256>        the files, so that one that is there is never written again or half replaced
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.cache import NAME_LENGTH, Cache
from mvmodel.files import atomic_folder, hash_file, is_inside_name
from pipelines.store.file_system import StoreFiles

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)
INDEX = "index.json"


def read_index(path: UPath) -> dict[str, Any]:
    """The index of a shared folder: {"files": {name: SHA-256}, ...}; empty if there is none that can be used."""
    try:
        index = json.loads((path / INDEX).read_text())
        names = index["files"].items()
        is_valid = all(is_inside_name(name) and isinstance(sha, str) and sha.isalnum() for name, sha in names)
        return index if is_valid else {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def upload_folder(file_system: StoreFiles, folder: Path, path: UPath, **metadata: Any) -> None:
    """Copy a local folder to the store. metadata: recorded in the index. Files that the index no longer names go."""
    earlier = set(read_index(path).get("files", {}).values())
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    hashes = {name: hash_file(file) for name, file in files.items()}
    for name, sha in hashes.items():
        if sha not in earlier:
            file_system.upload(files[name], path / sha)
    file_system.write_json(path / INDEX, {"files": hashes, **metadata})
    for sha in earlier - set(hashes.values()):
        file_system.remove(path / sha)


def download_folder(file_system: StoreFiles, path: UPath, folder: Path) -> bool:
    """Copy a shared folder to a local one, which is replaced. Returns False if it is not there or is damaged, which is
    logged; a damaged one is removed from the store."""
    if not (index := read_index(path)):
        return False
    try:
        with atomic_folder(folder) as partial:
            for name, sha in index["files"].items():
                file_system.download(path / sha, partial / name)
                if hash_file(partial / name) != sha:
                    raise OSError(f"{path / sha} differs from its hash")
    except OSError as error:
        logger.warning("%s is damaged (%s); it is removed and computed again", path, error)
        file_system.remove(path)
        return False
    return True


class SharedCache(Cache):
    """A cache whose results are also in the store, so that other machines need not compute them.

    folder: the local copies. path: the results in the store, as `<kind>/<recipe>/`.
    """

    def __init__(self, folder: Path, file_system: StoreFiles, path: UPath) -> None:
        super().__init__(folder)
        self._file_system, self._path = file_system, path

    def get_or_build(self, kind: str, recipe: str, build: Callable[[Path], Any]) -> Path:
        """As `Cache.get_or_build`; fetches what another machine has built."""
        folder = self.path_of(kind, recipe)
        if folder.exists():
            return folder
        path = self._path / kind / recipe[:NAME_LENGTH]
        if not download_folder(self._file_system, path, folder):
            super().get_or_build(kind, recipe, build)
            try:
                upload_folder(self._file_system, folder, path)
            except Exception as error:  # file systems raise their own kinds; the result itself is there
                logger.warning("%s is not shared with other machines (%s)", folder, error)
        return folder


class SharedBuilds:
    """Builds in progress that another machine can go on with.

    folder: where builds are on this machine. path: where they are in the store.
    """

    def __init__(self, folder: Path, file_system: StoreFiles, path: UPath) -> None:
        self._folder, self._file_system, self._path = folder, file_system, path

    def restore(self, name: str) -> None:
        """Fetch a build if another machine has saved it since this one did."""
        path = self._path / name
        saves = int(read_index(path).get("saves", 0))
        if saves > self._count_saves(name) and download_folder(self._file_system, path, self._folder / name):
            self._write_count(name, saves)
            logger.warning("going on with the work that another machine began, from %s", path)

    def save(self, name: str) -> None:
        """Copy a build to the store. A failure is logged: the build itself goes on."""
        saves = self._count_saves(name) + 1
        try:
            upload_folder(self._file_system, self._folder / name, self._path / name, saves=saves)
            self._write_count(name, saves)
        except Exception as error:  # file systems raise their own kinds, and none is a reason to stop a training
            logger.warning("%s could not be saved to %s (%s)", name, self._path, error)

    def discard(self, name: str) -> None:
        """Remove a build that is finished."""
        if self._count_file(name).exists():
            self._file_system.remove(self._path / name)
            self._count_file(name).unlink()
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def _count_file(self, name: str) -> Path:
        return self._folder / f"{name}.saves"

    def _count_saves(self, name: str) -> int:
        """How often the state on this machine had been saved, here or elsewhere, when it was last saved or fetched."""
        try:
            return int(self._count_file(name).read_text()) if (self._folder / name).exists() else 0
        except (OSError, ValueError):
            return 0

    def _write_count(self, name: str, saves: int) -> None:
        self._count_file(name).write_text(str(saves))
