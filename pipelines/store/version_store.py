"""Versioned artifacts: folders that are written elsewhere, hashed, moved into place once and never changed.

The store knows where a version is, what its manifest says, and which version a recipe made. It knows neither Dagster
(see `artifact_store.py`) nor what an artifact contains.

    <root>/<asset>/<partition>/<hash>/      a version: its files and manifest.json; partition "_" if there is none
    <root>/recipes/<recipe>.json            which version a recipe (code, settings with seed, inputs, pack) made
    <work>/<recipe>/                        a build in progress, where an interrupted step finds its checkpoints
    <work>/items/<kind>/<recipe>/           cached results for one clip, video or adapter, shared by all versions
    <work>/fetched/...                      local copies of versions, if the root is an object store
"""

from __future__ import annotations

import fcntl
import fnmatch
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mvmodel.cache import Cache
from mvmodel.errors import InputError, MvmodelError
from mvmodel.files import atomic_folder, hash_file, hash_value, write_json
from mvmodel.text import SLUG

if TYPE_CHECKING:
    from upath import UPath

MANIFEST = "manifest.json"
NO_PARTITION = "_"
SHORT = 16
"""Characters of a hash that name a folder: 64 bits."""


class BrokenVersion(MvmodelError):
    """A stored version is missing or differs from its manifest. The message names the asset and the path."""


@dataclass(frozen=True)
class Handle:
    """What assets pass to each other: a version, and a local folder with its verified files."""

    asset: str
    partition: str | None
    sha: str
    recipe: str
    folder: Path

    @property
    def key(self) -> str:
        """The asset and its partition, for people to read."""
        return format_key(self.asset, self.partition)


@dataclass(frozen=True)
class Version:
    """The manifest of a version.

    sha: hash of the files that are not `volatile`. inputs: name -> asset, partition and sha. files: relative path ->
    SHA-256. source: information that is recorded but not part of the recipe.
    """

    asset: str
    partition: str | None
    sha: str
    recipe: str
    inputs: dict[str, dict[str, Any]]
    code: str
    config: dict[str, Any]
    pack: dict[str, str]
    libraries: dict[str, str]
    files: dict[str, str]
    volatile: tuple[str, ...] = ()
    bytes: int = 0
    created: str = ""
    seconds: float = 0.0
    run: str = ""
    source: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The asset and its partition, for people to read."""
        return format_key(self.asset, self.partition)

    @classmethod
    def from_json(cls, text: str) -> Version:
        """Parse a manifest. Raises ValueError or TypeError if it is not one."""
        value = json.loads(text)
        return cls(**{**value, "volatile": tuple(value.get("volatile", ()))})


def format_key(asset: str, partition: str | None) -> str:
    """An asset and its partition: "clips" or "motion_adapter[gallop]"."""
    return asset if partition is None else f"{asset}[{partition}]"


def recipe_hash(**parts: Any) -> str:
    """Hash of everything that decides a result: asset, partition, code, settings with their seed, inputs, pack."""
    return hash_value(parts)


def content_hash(files: Mapping[str, str], volatile: tuple[str, ...] = ()) -> str:
    """Hash of a version's files, by path and content, without those whose path matches a `volatile` pattern.

    Volatile files, such as a training curve with wall-clock times, are stored and verified, but make no new version.
    """
    stable = {name: sha for name, sha in files.items() if not any(fnmatch.fnmatch(name, p) for p in volatile)}
    return hash_value(stable)


def hash_version_files(folder: Path) -> dict[str, str]:
    """Relative POSIX path -> SHA-256 of every file of a version's folder, except its manifest."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    hashes = {p.relative_to(folder).as_posix(): hash_file(p) for p in paths}
    hashes.pop(MANIFEST, None)
    return hashes


class VersionStore:
    """Versions below `root`, a folder or an fsspec address such as s3://bucket/mvmodel; `work` is a local folder."""

    def __init__(self, root: str | Path, work: Path) -> None:
        self.root, self.local = _parse_root(root)
        self.work = Path(work)
        self.cache = Cache(self.work / "items")

    # -- paths -------------------------------------------------------------------------------------------------------
    def path_of(self, asset: str, partition: str | None, sha: str) -> UPath:
        """The folder of a version, whether it exists or not. Raises InputError for a name that cannot be a folder."""
        for name in (asset, partition or NO_PARTITION):
            if name != NO_PARTITION and not SLUG.fullmatch(name):
                raise InputError(f"{name!r} cannot name a folder of the store; use a-z, 0-9, - and _")
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
        """The manifest of a version. Raises BrokenVersion if it does not exist or cannot be read."""
        path = self.path_of(asset, partition, sha)
        try:
            return Version.from_json((path / MANIFEST).read_text())
        except (OSError, ValueError, TypeError) as error:
            raise BrokenVersion(
                f"{format_key(asset, partition)}: version {sha[:SHORT]} is missing at {path} ({type(error).__name__}); "
                f"materialize {asset} again"
            ) from error

    def open(self, asset: str, partition: str | None, sha: str, recipe: str = "") -> Handle:
        """A handle on a stored version whose files have all been verified. Raises BrokenVersion if one is wrong."""
        version = self.version(asset, partition, sha)
        path = self.path_of(asset, partition, sha)
        folder = Path(str(path)) if self.local else self._fetch(path, version)
        _verify(version, folder)
        return Handle(asset, partition, version.sha, recipe or version.recipe, folder)

    def find(self, asset: str, partition: str | None, recipe: str) -> Version | None:
        """The version that a recipe made, or None if there is none any more."""
        index = self.root / "recipes" / f"{recipe}.json"
        try:
            return self.version(asset, partition, json.loads(index.read_text())["sha"])
        except (OSError, ValueError, KeyError):
            pass
        except BrokenVersion:
            return None
        for version in self.versions(asset, partition):  # The process was killed between the move and the index.
            if version.recipe == recipe:
                self._write_index(version)
                return version
        return None

    def versions(self, asset: str | None = None, partition: str | None = None) -> Iterator[Version]:
        """All stored versions, or those of one asset and partition."""
        pattern = f"{asset or '*'}/{partition or (NO_PARTITION if asset else '*')}/*/{MANIFEST}"
        for path in self.root.glob(pattern) if self.root.exists() else ():
            try:
                yield Version.from_json(path.read_text())
            except (OSError, ValueError, TypeError):
                continue

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
            self._move(folder, version)
        shutil.rmtree(folder, ignore_errors=True)
        self._write_index(version)
        return version

    def mark_broken(self, version: Version) -> UPath:
        """Rename a broken version's folder, so that the version can be built again; returns the new path."""
        path = self.path_of(version.asset, version.partition, version.sha)
        number = 1
        while (renamed := path.parent / f"broken-{number}-{path.name}").exists():
            number += 1
        if self.local:
            Path(str(path)).rename(str(renamed))
        else:
            path.rename(renamed, recursive=True)
        return renamed

    # -- helpers -----------------------------------------------------------------------------------------------------
    def _is_intact(self, version: Version) -> bool:
        """Whether the store has this version; a broken one is renamed."""
        try:
            self.open(version.asset, version.partition, version.sha)
            return True
        except BrokenVersion:
            if self.path_of(version.asset, version.partition, version.sha).exists():
                self.mark_broken(version)
            return False

    def _write_index(self, version: Version) -> None:
        path = self.root / "recipes" / f"{version.recipe}.json"
        value = {"asset": version.asset, "partition": version.partition, "sha": version.sha}
        if self.local:
            write_json(Path(str(path)), value)
        else:
            path.write_text(json.dumps(value))

    def _move(self, folder: Path, version: Version) -> None:
        path = self.path_of(version.asset, version.partition, version.sha)
        if self.local:
            Path(str(path)).parent.mkdir(parents=True, exist_ok=True)
            folder.rename(str(path))
            return
        for name in [*version.files, MANIFEST]:  # The manifest comes last: without it, a version does not exist.
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            with open(folder / name, "rb") as source, (path / name).open("wb") as target:
                shutil.copyfileobj(source, target)

    def _fetch(self, path: UPath, version: Version) -> Path:
        """Copy a version from an object store to a local folder, once."""
        folder = self.work / "fetched" / version.asset / (version.partition or NO_PARTITION) / version.sha[:SHORT]
        if not folder.exists():
            with atomic_folder(folder) as partial:
                for name in version.files:
                    (partial / name).parent.mkdir(parents=True, exist_ok=True)
                    try:
                        with (path / name).open("rb") as source, open(partial / name, "wb") as target:
                            shutil.copyfileobj(source, target)
                    except OSError as error:
                        raise BrokenVersion(
                            f"{version.key}: {path / name} is missing; materialize {version.asset} again"
                        ) from error
        return folder


def _parse_root(root: str | Path) -> tuple[UPath, bool]:
    """The root as a path, and whether it is on a local disk. Imports fsspec only for addresses with a protocol."""
    if "://" not in str(root):
        return cast("UPath", Path(root)), True
    from upath import UPath

    path = UPath(root)
    return path, isinstance(path, Path) and path.protocol in ("", "file")


def _verify(version: Version, folder: Path) -> None:
    """Raise BrokenVersion if the folder's files are not exactly those of the manifest."""
    hashes = hash_version_files(folder)
    differing = sorted(n for n in {*hashes, *version.files} if hashes.get(n) != version.files.get(n))
    if differing:
        raise BrokenVersion(
            f"{version.key}: {folder / differing[0]} is missing or differs from its manifest "
            f"({len(differing)} of {len(version.files)} files); materialize {version.asset} again"
        )
