"""gc: deletes what nothing needs, on any file system; refuses where it cannot tell."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mvmodel.errors import InputError
from pipelines.store.gc import delete_garbage, find_garbage
from pipelines.store.manifest import Version
from pipelines.store.version_store import VersionStore

OLD = (datetime.now(UTC) - timedelta(days=30)).isoformat(timespec="seconds")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> VersionStore:
    if request.param == "local":
        return VersionStore(tmp_path / "store", tmp_path / "work")
    return VersionStore(f"memory://{uuid.uuid4().hex}", tmp_path / "work")


def record(instance: dg.DagsterInstance, version: Version) -> None:
    metadata = {"sha256": version.sha, "recipe": version.recipe}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(version.asset, partition=version.partition, metadata=metadata)
    )


def commit_old(commit: Callable[..., Version], store: VersionStore, text: str, **fields: Any) -> Version:
    return commit(store, text * 64, files={"a.txt": text}, **{"created": OLD, **fields})


def test_what_nothing_needs_is_deleted_and_inputs_stay(
    store: VersionStore, instance: dg.DagsterInstance, commit: Callable[..., Version]
) -> None:
    source, lost = (commit_old(commit, store, text, asset="clips", partition=None) for text in "ab")
    inputs = {"clips": {"asset": "clips", "partition": None, "sha": source.sha}}
    versions = [commit_old(commit, store, text, inputs=inputs) for text in "cde"]
    for version in (source, lost, *versions):
        record(instance, version)
    garbage = [item for item in find_garbage(instance, store, keep=1) if item.description.startswith("version")]
    assert [item.description for item in garbage] == ["version of videos[gallop]"] * 2
    assert delete_garbage(garbage) == 2
    assert {version.sha for version in store.versions()} == {source.sha, lost.sha, versions[-1].sha}
    assert not store.file_system.exists(store.path_of("videos", "gallop", versions[0].sha))


def test_new_versions_stay(store: VersionStore, instance: dg.DagsterInstance, commit: Callable[..., Version]) -> None:
    """A version may have been committed by a run that has not recorded it yet."""
    record(instance, commit_old(commit, store, "a"))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new, undated = commit_old(commit, store, "b", created=now), commit_old(commit, store, "c", created="")
    assert not [item for item in find_garbage(instance, store) if item.description.startswith("version")]
    listed = {item.path.name for item in find_garbage(instance, store, days=0)}
    assert {new.sha[:16], undated.sha[:16]} <= listed


def test_records_that_know_nothing_delete_nothing(
    store: VersionStore, instance: dg.DagsterInstance, commit: Callable[..., Version]
) -> None:
    versions = [commit_old(commit, store, text) for text in "abc"]
    with pytest.raises(InputError, match=r"records know none of the 3 versions in .*restore the records"):
        find_garbage(instance, store, days=0)
    other = commit_old(commit, store, "d", asset="clips", partition=None)
    record(instance, other)
    assert not [item for item in find_garbage(instance, store) if item.description.startswith("version")]
    assert len(list(store.versions())) == len(versions) + 1


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
def test_gc_waits_for_runs(instance: dg.DagsterInstance, tmp_path: Path, status: dg.DagsterRunStatus) -> None:
    instance.add_run(dg.DagsterRun("job", "12345678-0", status=status))
    with pytest.raises(InputError, match=r"runs are unfinished \(12345678\).*mvmodel-pipeline repair"):
        find_garbage(instance, VersionStore(tmp_path / "store", tmp_path / "work"))


def test_unfinished_and_broken_things_go_when_they_are_old(
    open_remote: Callable[..., VersionStore], instance: dg.DagsterInstance, commit: Callable[..., Version]
) -> None:
    store = open_remote()
    version = commit_old(commit, store, "a")
    record(instance, version)
    broken = store.set_apart(commit_old(commit, store, "b"))
    half = store.path_of("videos", "gallop", "c" * 64)
    half.mkdir(parents=True, exist_ok=True)
    (half / "a.txt").write_text("half")
    store.cache.get_or_build("masks", "d" * 64, lambda folder: (folder / "x").write_text("x"))
    assert find_garbage(instance, store) == []
    garbage = find_garbage(instance, store, days=0)
    stored = {store.file_system.relative(item.path) for item in garbage if item.file_system is store.file_system}
    assert stored == {
        store.file_system.relative(broken),
        store.file_system.relative(half),
        f"items/masks/{'d' * 24}",
    }
    delete_garbage(garbage)
    assert list(store.versions()) == [version] and not list(store.work.glob("items/*/*"))
    assert {store.file_system.relative(file).split("/")[0] for file in store.file_system.files(store.root)} == {
        "videos", "recipes",
    }  # fmt: skip
    store.open(version.asset, version.partition, version.sha)
