"""What a stored version consists of: its manifest, and the hashes that name it."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError, MvmodelError
from mvmodel.files import hash_file, hash_value, is_inside_name

MANIFEST = "manifest.json"
NO_PARTITION = "_"
SHORT = 16
"""Characters of a hash that name a folder: 64 bits."""
SCHEMA = 1
"""Version of the manifest's format. It rises when programs that know only the earlier one would misread it."""
_REQUIRED = {"asset": str, "sha": str, "recipe": str, "files": dict}


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
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    code: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    pack: dict[str, str] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    volatile: tuple[str, ...] = ()
    bytes: int = 0
    created: str = ""
    seconds: float = 0.0
    run: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def key(self) -> str:
        """The asset and its partition, for people to read."""
        return format_key(self.asset, self.partition)

    @classmethod
    def from_json(cls, text: str) -> Version:
        """Parse a manifest of this or an earlier format. Fields that are not known are ignored.

        Raises:
            ValueError: It is no manifest, or names a file outside its folder.
            InputError: A later version of mvmodel wrote it.
        """
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError("it is no table")
        schema = value.get("schema", SCHEMA)
        if isinstance(schema, int) and schema > SCHEMA:
            raise InputError(
                f"a version of {value.get('asset')} was stored by a later version of mvmodel (format {schema}, not "
                f"{SCHEMA}); update mvmodel, or use another store"
            )
        for name, kind in _REQUIRED.items():
            if not isinstance(value.get(name), kind):
                raise ValueError(f"it has no {name}")
        if foreign_names := [name for name in value["files"] if not is_inside_name(name)]:
            raise ValueError(f"it names {foreign_names[0]!r}, which is outside its folder")
        field_names = {field.name for field in fields(cls)}
        entries = {name: entry for name, entry in value.items() if name in field_names}
        return cls(**{"partition": None, **entries, "volatile": tuple(value.get("volatile") or ())})


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


def list_files(folder: Path) -> dict[str, Path]:
    """Relative POSIX path -> path of every file of a version's folder, except its manifest."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    files = {p.relative_to(folder).as_posix(): p for p in paths}
    files.pop(MANIFEST, None)
    return files


def hash_version_files(folder: Path) -> dict[str, str]:
    """Relative POSIX path -> SHA-256 of every file of a version's folder, except its manifest."""
    return {name: hash_file(path) for name, path in list_files(folder).items()}
