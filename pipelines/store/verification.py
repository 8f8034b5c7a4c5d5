"""Hashes everything that is stored, to find damage before a step needs it."""

from __future__ import annotations

from collections.abc import Iterator

from mvmodel.errors import InputError
from pipelines.store.manifest import BrokenVersion, Version
from pipelines.store.version_store import VersionStore


def find_damage(store: VersionStore) -> Iterator[tuple[str, str]]:
    """(path of a version, what is wrong with it or "") for every stored version; nothing is changed.

    store: opened with `verify_hours=0`, so that every file is hashed.
    """
    for path in store.manifests():
        reason = ""
        try:
            version = Version.from_json(path.read_text())
            store.open(version.asset, version.partition, version.sha)
            if store.path_of(version.asset, version.partition, version.sha) != path.parent:
                reason = f"{path.parent} holds the manifest of another version"
        except (BrokenVersion, InputError) as error:
            reason = str(error)
        except (OSError, ValueError, TypeError) as error:
            reason = f"{path} cannot be read ({error}); the version counts as missing and is built again when needed"
        yield str(path.parent), reason
