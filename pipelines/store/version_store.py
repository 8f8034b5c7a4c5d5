"""Versioned artefacts: folders that are written aside, hashed, moved into place once and never changed.

Belongs here: where a version lies, what its manifest says, and the index from a recipe to the version it made. Nothing
here knows Dagster (see `artefacts.py`) or what an artefact holds.

    <root>/<asset>/<partition>/<hash>/      the files of a version and its manifest.json; "_" for no partition
    <root>/recipes/<recipe>.json            which version a recipe (code + config + seed + inputs) made
    <work>/<recipe>/                        a build in progress; a killed step finds its checkpoints here again
    <work>/items/<kind>/<recipe>/           results for one clip, video or adapter (`Cache`), shared by all versions
    <work>/fetched/...                      local copies when the root is an object store
"""

from __future__ import annotations

import fcntl
import fnmatch
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from upath import UPath

from mvmodel.cache import Cache
from mvmodel.errors import InputError, MvmodelError
from mvmodel.files import folder_aside, hash_file, hash_value, write_json

MANIFEST = "manifest.json"
NO_PARTITION = "_"
SHORT = 16
"""Characters of a hash that name a folder: 64 bits."""
_NAME = re.compile(r"^[a-z0-9_][a-z0-9_-]{0,62}$")


class BrokenVersion(MvmodelError):
    """A stored version is missing or differs from its manifest; the message names the key and the path."""


@dataclass(frozen=True)
class Handle:
    """What assets hand to each other: which version it is, and a local folder that holds it, verified."""

    asset: str
    partition: str | None
    sha: str
    recipe: str
    folder: Path

    @property
    def key(self) -> str:
        return self.asset if self.partition is None else f"{self.asset}[{self.partition}]"


@dataclass(frozen=True)
class Version:
    """The manifest of a version. `files` maps a relative path to its SHA-256; `sha` hashes those not `volatile`."""

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

    @classmethod
    def read(cls, text: str) -> Version:
        return cls(**{**(value := json.loads(text)), "volatile": tuple(value.get("volatile", ()))})


def recipe_hash(**parts: Any) -> str:
    """The hash of everything that decides a result: asset, partition, code, config with its seed, inputs, pack."""
    return hash_value(parts)


def content_hash(files: Mapping[str, str], volatile: tuple[str, ...] = ()) -> str:
    """The version of a set of files: paths and contents, without those whose name matches a `volatile` pattern.

    Volatile files, such as a training curve with wall-clock times, are kept and checked but do not make a new version.
    """
    kept = {name: sha for name, sha in files.items() if not any(fnmatch.fnmatch(name, p) for p in volatile)}
    return hash_value(kept)


def list_files(folder: Path) -> dict[str, str]:
    """Relative posix path -> SHA-256 of every file of a version's folder, its manifest left out."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    found = {p.relative_to(folder).as_posix(): hash_file(p) for p in paths}
    found.pop(MANIFEST, None)
    return found


class VersionStore:
    """Versions below `root` (a folder or an fsspec address, such as `s3://bucket/mvmodel`), work in a local folder."""

    def __init__(self, root: str | Path, work: Path) -> None:
        self.root = UPath(root)
        self.work = Path(work)
        self.cache = Cache(self.work / "items")
        self.local = isinstance(self.root, Path) and self.root.protocol in ("", "file")

    # -- where things are --------------------------------------------------------------------------------------------
    def path_of(self, asset: str, partition: str | None, sha: str) -> UPath:
        for name in (asset, partition or NO_PARTITION):
            if not _NAME.match(name):
                raise InputError(f"{name!r} cannot name a folder of the store; use a-z, 0-9, - and _")
        return self.root / asset / (partition or NO_PARTITION) / sha[:SHORT]

    def work_folder(self, recipe: str) -> Path:
        return self.work / recipe[:SHORT]

    @contextmanager
    def build_lock(self, recipe: str) -> Iterator[Path]:
        """Hold the lock on a recipe's work folder; a second process that builds the same thing waits, then finds it."""
        self.work.mkdir(parents=True, exist_ok=True)
        with open(self.work / f"{recipe[:SHORT]}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.work_folder(recipe)

    # -- reading -----------------------------------------------------------------------------------------------------
    def version(self, asset: str, partition: str | None, sha: str) -> Version:
        """The manifest of a version. Raises BrokenVersion when it is not there."""
        place = self.path_of(asset, partition, sha)
        try:
            return Version.read((place / MANIFEST).read_text())
        except (OSError, ValueError, TypeError) as error:
            raise BrokenVersion(
                f"{_key(asset, partition)}: version {sha[:SHORT]} is missing at {place} ({type(error).__name__}); "
                f"materialise {asset} again"
            ) from error

    def open(self, asset: str, partition: str | None, sha: str, recipe: str = "") -> Handle:
        """A handle on a stored version, every file checked. Raises BrokenVersion naming the key and the path."""
        version = self.version(asset, partition, sha)
        place = self.path_of(asset, partition, sha)
        folder = Path(str(place)) if self.local else self._fetch(place, version)
        self._verify(version, folder)
        return Handle(asset, partition, version.sha, recipe or version.recipe, folder)

    def find(self, asset: str, partition: str | None, recipe: str) -> Version | None:
        """The version that a recipe made, if its manifest is still there."""
        index = self.root / "recipes" / f"{recipe}.json"
        try:
            sha = json.loads(index.read_text())["sha"]
            return self.version(asset, partition, sha)
        except (OSError, ValueError, KeyError):
            pass
        except BrokenVersion:
            return None
        for version in self.versions(asset, partition):  # killed between the move and the index
            if version.recipe == recipe:
                self._index(recipe, version.asset, version.partition, version.sha)
                return version
        return None

    def versions(self, asset: str | None = None, partition: str | None = None) -> Iterator[Version]:
        """All stored versions, or those of an asset (of a partition)."""
        pattern = f"{asset or '*'}/{partition or (NO_PARTITION if asset else '*')}/*/{MANIFEST}"
        for path in self.root.glob(pattern) if self.root.exists() else ():
            try:
                yield Version.read(path.read_text())
            except (OSError, ValueError, TypeError):
                continue

    # -- writing -----------------------------------------------------------------------------------------------------
    def commit(
        self, folder: Path, volatile: tuple[str, ...] = (), leave_out: tuple[str, ...] = (), **facts: Any
    ) -> Version:
        """Move a finished work folder into the store, unless the same content is there; returns its version.

        facts: the fields of `Version` but sha, files and bytes. leave_out: names at the top that are not part of it.
        """
        for name in leave_out:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        files = list_files(folder)
        if not files:
            raise BrokenVersion(f"{_key(facts['asset'], facts['partition'])}: the step wrote nothing into {folder}")
        size = sum((folder / name).stat().st_size for name in files)
        version = Version(sha=content_hash(files, volatile), files=files, bytes=size, volatile=volatile, **facts)
        place = self.path_of(version.asset, version.partition, version.sha)
        if not self._whole(version):
            write_json(folder / MANIFEST, asdict(version))
            self._move(folder, place, version)
        shutil.rmtree(folder, ignore_errors=True)
        self._index(version.recipe, version.asset, version.partition, version.sha)
        return version

    def mark_broken(self, version: Version) -> UPath:
        """Rename a broken version's folder so that it can be made again; returns where it lies now."""
        place = self.path_of(version.asset, version.partition, version.sha)
        number = 1
        while (apart := place.parent / f"broken-{number}-{place.name}").exists():
            number += 1
        if self.local:
            Path(str(place)).rename(str(apart))
        else:
            place.rename(apart, recursive=True)
        return apart

    # -- helpers -----------------------------------------------------------------------------------------------------
    def _verify(self, version: Version, folder: Path) -> None:
        found = list_files(folder)
        wrong = sorted(n for n in {*found, *version.files} if found.get(n) != version.files.get(n))
        if wrong:
            raise BrokenVersion(
                f"{_key(version.asset, version.partition)}: {folder / wrong[0]} is missing or not what its manifest "
                f"says ({len(wrong)} of {len(version.files)} files); materialise {version.asset} again"
            )

    def _whole(self, version: Version) -> bool:
        try:
            self.open(version.asset, version.partition, version.sha)
            return True
        except BrokenVersion:
            if self.path_of(version.asset, version.partition, version.sha).exists():
                self.mark_broken(version)
            return False

    def _index(self, recipe: str, asset: str, partition: str | None, sha: str) -> None:
        path = self.root / "recipes" / f"{recipe}.json"
        value = {"asset": asset, "partition": partition, "sha": sha}
        if self.local:
            write_json(Path(str(path)), value)
        else:
            path.write_text(json.dumps(value))

    def _move(self, folder: Path, place: UPath, version: Version) -> None:
        if self.local:
            Path(str(place)).parent.mkdir(parents=True, exist_ok=True)
            folder.rename(str(place))
            return
        for name in [*version.files, MANIFEST]:  # the manifest last: without it a version does not exist
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            with open(folder / name, "rb") as source, (place / name).open("wb") as target:
                shutil.copyfileobj(source, target)

    def _fetch(self, place: UPath, version: Version) -> Path:
        folder = self.work / "fetched" / version.asset / (version.partition or NO_PARTITION) / version.sha[:SHORT]
        if not folder.exists():
            with folder_aside(folder) as aside:
                for name in version.files:
                    (aside / name).parent.mkdir(parents=True, exist_ok=True)
                    try:
                        with (place / name).open("rb") as source, open(aside / name, "wb") as target:
                            shutil.copyfileobj(source, target)
                    except OSError as error:
                        key = _key(version.asset, version.partition)
                        raise BrokenVersion(
                            f"{key}: {place / name} is missing; materialise {version.asset} again"
                        ) from error
        return folder


def _key(asset: str, partition: str | None) -> str:
    return asset if partition is None else f"{asset}[{partition}]"
