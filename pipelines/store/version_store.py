"""Versioned artifacts: folders that are written elsewhere, hashed, moved into place once and never changed.

The store knows where a version is, what its manifest says, and which version a recipe made. It knows neither Dagster
(see `artifact_store.py`) nor what an artifact contains.

    <root>/<asset>/<partition>/<hash>/      a version: its files and manifest.json; partition "_" if there is none
    <root>/recipes/<recipe>.json            which version a recipe (code, settings with seed, inputs, pack) made
    <root>/items, <root>/work               the same two folders as in <work>, if several machines share the root
    <root>/reports/                         the latest page of every report, if several machines share the root
    <work>/<recipe>/                        a build in progress, where an interrupted step finds its checkpoints
    <work>/items/<kind>/<recipe>/           cached results for one clip, video or adapter, shared by all versions
    <work>/fetched/...                      local copies of versions, if the root is an object store
    <work>/verified/...                     which files have been hashed, and when
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.cache import Cache
from mvmodel.errors import InputError
from mvmodel.files import atomic_folder, write_json
from mvmodel.text import SLUG
from pipelines.store.file_system import StoreFiles
from pipelines.store.manifest import (
    MANIFEST,
    NO_PARTITION,
    SHORT,
    BrokenVersion,
    Handle,
    Version,
    content_hash,
    format_key,
    hash_version_files,
    recipe_hash,
)
from pipelines.store.shared_folder import SharedBuilds, SharedCache
from pipelines.store.verified_files import VERIFY_HOURS, VerifiedFiles

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)
SHARED_FOLDERS = ("recipes", "items", "work", "reports")
"""Folders of the root that hold no versions."""
BROKEN_PREFIX = "broken-"
"""Begins the name of a folder whose version was found to be damaged."""


class VersionStore:
    """Versions below `root`, a folder or an fsspec address such as s3://bucket/mvmodel; `work` is a local folder.

    options: of the fsspec file system. verify_hours: a version's files are hashed again when it is used and so many
    hours have passed.
    """

    def __init__(
        self,
        root: str | Path,
        work: Path,
        options: Mapping[str, Any] | None = None,
        verify_hours: float = VERIFY_HOURS,
    ) -> None:
        self.file_system = StoreFiles(root, options)
        self.root, self.local = self.file_system.root, self.file_system.is_local
        self.work = Path(work)
        # A root beside the work folder belongs to this home alone.
        self.is_shared = not self.local or Path(str(self.root)).parent != self.work.parent
        self.builds = SharedBuilds(self.work, self.file_system, self.root / "work") if self.is_shared else None
        self.cache = Cache(self.work / "items")
        if self.is_shared:
            self.cache = SharedCache(self.work / "items", self.file_system, self.root / "items")
        self._verified = VerifiedFiles(self.work / "verified", verify_hours)

    # -- paths -------------------------------------------------------------------------------------------------------
    def path_of(self, asset: str, partition: str | None, sha: str) -> UPath:
        """The folder of a version, whether it exists or not. Raises InputError for a name that cannot be a folder."""
        for name in (asset, partition or NO_PARTITION):
            if name != NO_PARTITION and not SLUG.fullmatch(name):
                raise InputError(f"{name!r} cannot name a folder of the store; use a-z, 0-9, - and _")
        if not sha.isalnum():
            raise InputError(f"{sha!r} is no hash of a version")
        return self.root / asset / (partition or NO_PARTITION) / sha[:SHORT]

    def work_folder(self, recipe: str) -> Path:
        """Where a recipe is built."""
        return self.work / recipe[:SHORT]

    @contextmanager
    def build_lock(self, recipe: str) -> Iterator[Path]:
        """Lock a recipe's work folder and yield it. A second process that builds the same recipe waits here."""
        self.work.mkdir(parents=True, exist_ok=True)
        with open(self.work / f"{recipe[:SHORT]}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.work_folder(recipe)

    # -- reading -----------------------------------------------------------------------------------------------------
    def version(self, asset: str, partition: str | None, sha: str) -> Version:
        """The manifest of a version. Raises BrokenVersion if it does not exist or cannot be read, InputError if a later
        version of mvmodel wrote it."""
        path = self.path_of(asset, partition, sha)
        try:
            version = Version.from_json((path / MANIFEST).read_text())
            if (version.asset, version.partition, version.sha[:SHORT]) != (asset, partition, sha[:SHORT]):
                raise ValueError(f"its manifest is that of {version.key} {version.sha[:SHORT]}")
        except (OSError, ValueError, TypeError) as error:
            raise BrokenVersion(
                f"{format_key(asset, partition)}: version {sha[:SHORT]} is missing at {path} ({type(error).__name__}); "
                f"materialize {asset} again"
            ) from error
        return version

    def open(self, asset: str, partition: str | None, sha: str, recipe: str = "") -> Handle:
        """A handle on a stored version whose files have all been verified. Raises BrokenVersion if one is wrong.

        The local copy of a version in an object store is fetched again if it is damaged.
        """
        version = self.version(asset, partition, sha)
        path = self.path_of(asset, partition, sha)
        folder = Path(str(path)) if self.local else self.fetched_folder(version)
        if not self.local and not self._verify_copy(version, folder):
            self._fetch(path, version, folder)
            if not self._verify_copy(version, folder):  # what arrived may have been damaged on its way
                self._fetch(path, version, folder)
        if differences := self._verified.find_differences(version, folder):
            if not self.local:
                shutil.rmtree(folder)
            raise BrokenVersion(
                f"{version.key}: {(folder if self.local else path) / differences[0]} is missing or differs from its "
                f"manifest ({len(differences)} of {len(version.files)} files); materialize {version.asset} again"
            )
        return Handle(asset, partition, version.sha, recipe or version.recipe, folder)

    def find(self, asset: str, partition: str | None, recipe: str) -> Version | None:
        """The version that a recipe made, or None if there is none any more."""
        if sha := self._read_index(recipe):
            try:
                return self.version(asset, partition, sha)
            except BrokenVersion:
                return None
        for version in self.versions(asset, partition):  # The process was killed between the move and the index.
            if version.recipe == recipe:
                self._write_index(version)
                return version
        return None

    def versions(self, asset: str | None = None, partition: str | None = None) -> Iterator[Version]:
        """All stored versions, or those of one asset and partition. What is damaged or set apart is left out."""
        for path in self.manifests(asset, partition):
            try:
                version = Version.from_json(path.read_text())
            except (OSError, ValueError, TypeError, InputError):
                continue
            if path.parent.name == version.sha[:SHORT]:
                yield version

    def manifests(self, asset: str | None = None, partition: str | None = None) -> Iterator[UPath]:
        """The manifests of all versions, or of those of one asset and partition, without those set apart."""
        self.file_system.refresh()
        pattern = f"{asset or '*'}/{partition or (NO_PARTITION if asset else '*')}/*/{MANIFEST}"
        for path in self.root.glob(pattern) if self.root.exists() else ():
            is_version = self.file_system.relative(path).split("/")[0] not in SHARED_FOLDERS
            if is_version and not path.parent.name.startswith((BROKEN_PREFIX, ".")):
                yield path

    # -- writing -----------------------------------------------------------------------------------------------------
    def commit(self, folder: Path, volatile: tuple[str, ...] = (), **manifest: Any) -> Version:
        """Move a finished work folder into the store, unless its content is already there; returns the version.

        manifest: the fields of `Version` except sha, files, bytes and volatile. Raises BrokenVersion if the folder is
        empty.
        """
        files = hash_version_files(folder)
        if not files:
            key = format_key(manifest["asset"], manifest["partition"])
            raise BrokenVersion(f"{key}: the step wrote nothing into {folder}")
        size = sum((folder / name).stat().st_size for name in files)
        version = Version(sha=content_hash(files, volatile), files=files, bytes=size, volatile=volatile, **manifest)
        if not self._is_intact(version):
            write_json(folder / MANIFEST, asdict(version))
            path = self.path_of(version.asset, version.partition, version.sha)
            # The manifest comes last: without it, a version does not exist.
            self.file_system.move_in(folder, path, [*version.files, MANIFEST])
            if not self.local:  # what was just built need not be fetched
                (folder / MANIFEST).unlink(missing_ok=True)
                self._keep_copy(folder, self.fetched_folder(version))
        shutil.rmtree(folder, ignore_errors=True)
        self._write_index(version)
        return version

    def set_apart(self, version: Version) -> UPath:
        """Rename a broken version's folder, so that the version can be built again; returns the new path."""
        path = self.path_of(version.asset, version.partition, version.sha)
        shutil.rmtree(self.fetched_folder(version), ignore_errors=True)
        self._verified.forget(Path(str(path)) if self.local else self.fetched_folder(version))
        number = 1
        while self.file_system.exists(renamed := path.parent / f"{BROKEN_PREFIX}{number}-{path.name}"):
            number += 1
        self.file_system.rename(path, renamed)
        return renamed

    # -- helpers -----------------------------------------------------------------------------------------------------
    def fetched_folder(self, version: Version) -> Path:
        """Where the local copy of a version in an object store is."""
        return self.work / "fetched" / version.asset / (version.partition or NO_PARTITION) / version.sha[:SHORT]

    def _is_intact(self, version: Version) -> bool:
        """Whether the store has this version; a broken one is set apart, an upload that was cut off is removed."""
        path = self.path_of(version.asset, version.partition, version.sha)
        try:
            self.open(version.asset, version.partition, version.sha)
            return True
        except BrokenVersion as error:
            if not self.file_system.exists(path):
                return False
            if self.file_system.exists(path / MANIFEST):
                logger.warning("%s; it was set apart as %s", error, self.set_apart(version))
            else:
                logger.warning("%s: %s was not written to its end; it is written again", version.key, path)
                self.file_system.remove(path)
            return False

    def _read_index(self, recipe: str) -> str:
        """The hash of the version that a recipe made; "" if the index has no usable entry."""
        try:
            sha = json.loads((self.root / "recipes" / f"{recipe}.json").read_text())["sha"]
        except (OSError, ValueError, LookupError, TypeError):
            return ""
        return sha if isinstance(sha, str) and sha.isalnum() else ""

    def _write_index(self, version: Version) -> None:
        value = {"asset": version.asset, "partition": version.partition, "sha": version.sha}
        self.file_system.write_json(self.root / "recipes" / f"{version.recipe}.json", value)

    def _verify_copy(self, version: Version, folder: Path) -> bool:
        """Whether the local copy of a version is whole; a damaged one is removed."""
        if not folder.exists():
            return False
        if not (differences := self._verified.find_differences(version, folder)):
            return True
        name = folder / differences[0]
        logger.warning("%s: the local copy %s is damaged; it is fetched again", version.key, name)
        shutil.rmtree(folder)
        return False

    def _fetch(self, path: UPath, version: Version, folder: Path) -> None:
        """Copy a version from an object store to a local folder. Raises BrokenVersion if an object is missing."""
        with atomic_folder(folder) as partial:
            for name in version.files:
                try:
                    self.file_system.download(path / name, partial / name)
                except FileNotFoundError as error:
                    raise BrokenVersion(
                        f"{version.key}: {path / name} is missing; materialize {version.asset} again"
                    ) from error

    @staticmethod
    def _keep_copy(folder: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        with suppress(OSError):
            os.replace(folder, target)


__all__ = [
    "MANIFEST",
    "NO_PARTITION",
    "SHORT",
    "BrokenVersion",
    "Handle",
    "Version",
    "VersionStore",
    "content_hash",
    "format_key",
    "recipe_hash",
]
