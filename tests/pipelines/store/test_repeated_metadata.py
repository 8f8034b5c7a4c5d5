"""Pictures and tables are logged once per version; numbers are logged by every run."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from pipelines.store.repeated_metadata import PICTURES_RUN, repeat_metadata
from pipelines.store.version_store import Handle


def log(instance: dg.DagsterInstance, handle: Handle, **metadata: object) -> str:
    """Materialize a version by a run; its ID."""
    identity = {"sha256": handle.sha, "recipe": handle.recipe, "path": dg.MetadataValue.path(str(handle.folder))}

    @dg.asset(name=handle.asset)
    def asset() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={**metadata, **identity})

    return dg.materialize([asset], instance=instance).run_id


def test_only_small_entries_are_logged_again(tmp_path: Path) -> None:
    handle = Handle("clips", None, "a" * 64, "r", tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        assert repeat_metadata(instance, handle) is None, "never logged"
        first = log(instance, handle, clips=3, sheet=dg.MetadataValue.md("x" * 5000))
        for _ in range(2):
            repeated = repeat_metadata(instance, handle)
            assert repeated is not None and repeated["clips"].value == 3 and "sheet" not in repeated
            assert repeated[PICTURES_RUN].value == first, "of the first run, after any number of them"
            log(instance, handle, **{k: v for k, v in repeated.items() if k not in ("sha256", "recipe", "path")})
        for other in (
            Handle("clips", None, "b" * 64, "r", tmp_path),
            Handle("clips", None, "a" * 64, "s", tmp_path),
            Handle("clips", None, "a" * 64, "r", tmp_path / "moved"),
        ):
            assert repeat_metadata(instance, other) is None


def test_without_pictures_nothing_is_left_out(tmp_path: Path) -> None:
    handle = Handle("clips", None, "a" * 64, "r", tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        log(instance, handle, clips=3)
        assert PICTURES_RUN not in (repeat_metadata(instance, handle) or {PICTURES_RUN: ""})
