"""A store that heals: on other disks and object stores, after damage, upgrades, and work on several machines."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mvmodel.cache import Cache
from mvmodel.errors import InputError
from pipelines.store import verified_files
from pipelines.store.manifest import MANIFEST, SCHEMA, Version
from pipelines.store.materializations import load_current
from pipelines.store.verification import find_damage
from pipelines.store.version_store import BrokenVersion, Handle, VersionStore

Commit = Callable[..., Version]
OpenRemote = Callable[..., VersionStore]
RECIPE = "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return VersionStore(tmp_path / "store", tmp_path / "work")


def open_version(store: VersionStore, version: Version) -> Handle:
    return store.open(version.asset, version.partition, version.sha)


def damage(store: VersionStore, version: Version, name: str = "a.txt", text: str = "0ne") -> None:
    (store.path_of(version.asset, version.partition, version.sha) / name).write_text(text)


# -- other file systems ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_a_store_on_another_disk(
    store: VersionStore, commit: Commit, monkeypatch: pytest.MonkeyPatch, is_cut_off: bool
) -> None:
    rename = Path.rename

    def rename_on_one_disk(self: Path, target: Any) -> Any:
        if "/work/" in str(self) and "/store/" in str(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_on_one_disk)
    if is_cut_off:
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copytree", lambda *a, **k: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
            with pytest.raises(OSError, match="full"):
                commit(store)
        assert list(store.versions()) == [] and not list(Path(str(store.root)).rglob(".tmp-*"))
    version = commit(store)
    assert (open_version(store, version).folder / "sub" / "b.txt").read_text() == "two"
    assert not store.work_folder(RECIPE).exists() and not list(Path(str(store.root)).rglob(".tmp-*"))


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no second file system at /dev/shm")
def test_a_store_on_a_disk_in_memory(tmp_path: Path, commit: Commit) -> None:
    root = Path("/dev/shm") / f"mvmodel-{os.getpid()}"
    try:
        store = VersionStore(root, tmp_path / "work")
        assert open_version(store, commit(store)).folder.is_relative_to(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


# -- object stores -----------------------------------------------------------------------------------------------------


def test_another_machine_reads_what_one_has_stored(open_remote: OpenRemote, commit: Commit) -> None:
    version = commit(open_remote("a"))
    reader = open_remote("b")
    assert reader.find("videos", "gallop", RECIPE) == version
    assert (open_version(reader, version).folder / "sub" / "b.txt").read_text() == "two"
    assert list(reader.versions("videos", "gallop")) == list(reader.versions()) == [version]


def test_an_upload_that_was_cut_off_is_made_again(
    open_remote: OpenRemote, commit: Commit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_remote("a")
    upload = store.file_system.upload

    def upload_half(file: Path, path: Any) -> None:
        if path.name == MANIFEST:
            raise ConnectionError("cut off")
        upload(file, path)

    monkeypatch.setattr(store.file_system, "upload", upload_half)
    with pytest.raises(ConnectionError):
        commit(store)
    again = open_remote("b")
    assert again.find("videos", "gallop", RECIPE) is None and list(again.versions()) == []
    version = commit(again)
    assert "was not written to its end; it is written again" in caplog.text
    assert (open_version(open_remote("c"), version).folder / "a.txt").read_text() == "one"
    names = {store.file_system.relative(file) for file in store.file_system.files(store.root)}
    assert not [name for name in names if "broken" in name]


def test_a_damaged_local_copy_is_fetched_again(
    open_remote: OpenRemote, commit: Commit, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_remote("a")
    version = commit(store)
    for text in ("0ne", None):
        file = open_version(store, version).folder / "a.txt"
        file.unlink() if text is None else file.write_text(text)
        assert (open_version(store, version).folder / "a.txt").read_text() == "one"
    assert caplog.text.count("is damaged; it is fetched again") == 2 and "set apart" not in caplog.text


@pytest.mark.parametrize("harm", ["changed", "removed"])
def test_a_damaged_object_is_set_apart_and_made_again(open_remote: OpenRemote, commit: Commit, harm: str) -> None:
    store = open_remote("a")
    version = commit(store)
    path = store.path_of("videos", "gallop", version.sha)
    damage(store, version) if harm == "changed" else store.file_system.remove(path / "a.txt")
    reader = open_remote("b")
    for _ in range(2):
        with pytest.raises(BrokenVersion, match=r"videos\[gallop\]: .*a\.txt is missing.*materialize videos again"):
            open_version(reader, version)
    renamed = reader.set_apart(version)
    assert reader.find("videos", "gallop", RECIPE) is None and not reader.file_system.exists(path)
    assert reader.file_system.exists(renamed / "sub" / "b.txt")
    assert commit(reader).sha == version.sha
    for machine in "abc":
        assert (open_version(open_remote(machine), version).folder / "a.txt").read_text() == "one"


def test_committing_over_a_damaged_object_heals_it(
    open_remote: OpenRemote, commit: Commit, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_remote("a")
    version = commit(store)
    damage(store, version)
    commit(open_remote("b"), "b" * 64)
    assert "it was set apart as" in caplog.text
    assert (open_version(open_remote("c"), version).folder / "a.txt").read_text() == "one"


def test_what_was_just_stored_is_not_fetched(
    open_remote: OpenRemote, commit: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_remote("a")
    version = commit(store)
    monkeypatch.setattr(store.file_system, "download", lambda *a: pytest.fail("it was fetched"))
    assert (open_version(store, version).folder / "a.txt").read_text() == "one"


# -- manifests and indexes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("schema"),
        lambda manifest: manifest.pop("source"),
        lambda manifest: manifest.update(later="?"),
        lambda manifest: [manifest.pop(name) for name in ("libraries", "code", "volatile", "seconds", "pack")],
    ],
)
def test_manifests_with_a_field_more_or_less_are_read(
    store: VersionStore, commit: Commit, change: Callable[[dict[str, Any]], Any]
) -> None:
    version = commit(store)
    path = Path(str(store.path_of("videos", "gallop", version.sha))) / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    assert store.find("videos", "gallop", RECIPE).sha == version.sha  # type: ignore[union-attr]
    assert open_version(store, version).sha == version.sha


def test_a_manifest_of_a_later_mvmodel_is_refused_and_not_replaced(store: VersionStore, commit: Commit) -> None:
    version = commit(store)
    path = Path(str(store.path_of("videos", "gallop", version.sha))) / MANIFEST
    text = json.dumps(asdict(replace(version, schema=SCHEMA + 1)))
    path.write_text(text)
    for action in (
        lambda: open_version(store, version),
        lambda: commit(store),
        lambda: store.find("videos", "gallop", RECIPE),
    ):
        with pytest.raises(InputError, match="by a later version of mvmodel .* update mvmodel"):
            action()
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '"a"', "{}", '{"sha": "x"}', '{"asset": 1, "files": []}'])
def test_what_is_no_manifest_is_a_missing_version(store: VersionStore, commit: Commit, text: str) -> None:
    version = commit(store)
    (Path(str(store.path_of("videos", "gallop", version.sha))) / MANIFEST).write_text(text)
    with pytest.raises(BrokenVersion, match="materialize videos again"):
        open_version(store, version)
    assert list(store.versions()) == []
    assert commit(store).sha == version.sha and open_version(store, version)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "..\\x", "C:\\x", "a\0b", "", "a//b", "./a"])
def test_a_manifest_that_names_files_elsewhere_is_not_followed(store: VersionStore, commit: Commit, name: str) -> None:
    version = commit(store)
    path = Path(str(store.path_of("videos", "gallop", version.sha))) / MANIFEST
    path.write_text(json.dumps(asdict(replace(version, files={**version.files, name: "0" * 64}))))
    with pytest.raises(BrokenVersion, match="materialize videos again"):
        open_version(store, version)


def test_a_version_in_the_place_of_another_is_not_opened(store: VersionStore, commit: Commit) -> None:
    version, other = commit(store), commit(store, "b" * 64, files={"a.txt": "other"})
    first, second = (Path(str(store.path_of("videos", "gallop", v.sha))) for v in (version, other))
    shutil.rmtree(first)
    shutil.copytree(second, first)
    with pytest.raises(BrokenVersion):
        open_version(store, version)
    assert list(store.versions()) == [other]


@pytest.mark.parametrize("text", ["null", "", "[]", "7", "{}", '{"sha": null}', '{"sha": "../../x"}', '{"sha": ["a"]}'])
def test_an_index_that_is_damaged_is_made_again(open_remote: OpenRemote, commit: Commit, text: str) -> None:
    store = open_remote()
    version = commit(store)
    index = store.root / "recipes" / f"{RECIPE}.json"
    index.write_text(text)
    assert store.find("videos", "gallop", RECIPE) == version
    assert json.loads(index.read_text())["sha"] == version.sha


# -- verification ------------------------------------------------------------------------------------------------------


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are hashed to verify a version."""
    names: list[str] = []
    hash_file = verified_files.hash_file
    monkeypatch.setattr(verified_files, "hash_file", lambda path: names.append(path.name) or hash_file(path))
    monkeypatch.setattr(verified_files, "_SETTLING_SECONDS", 0.0)
    return names


def test_a_version_is_hashed_once_for_all_readers(store: VersionStore, commit: Commit, hashed: list[str]) -> None:
    version = commit(store)
    for _ in range(3):
        open_version(VersionStore(store.root, store.work), version)
    assert sorted(hashed) == ["a.txt", "b.txt"]


@pytest.mark.parametrize("harm", ["same_size", "same_time", "replaced", "added", "removed", "link"])
def test_what_the_file_system_reports_is_noticed_at_once(
    store: VersionStore, commit: Commit, hashed: list[str], harm: str, tmp_path: Path
) -> None:
    version = commit(store)
    file = open_version(store, version).folder / "a.txt"
    status = file.stat()
    if harm in ("same_size", "same_time"):
        file.write_text("0ne")
        if harm == "same_time":
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif harm == "added":
        file.with_name("c.txt").write_text("?")
    elif harm == "removed":
        file.unlink()
    else:
        (tmp_path / "other").write_text("0ne")
        os.utime(tmp_path / "other", ns=(status.st_atime_ns, status.st_mtime_ns))
        file.unlink()
        (tmp_path / "other").rename(file) if harm == "replaced" else file.symlink_to(tmp_path / "other")
    with pytest.raises(BrokenVersion):
        open_version(store, version)


def test_bits_that_flip_without_a_word_are_found_when_the_hours_are_over(
    store: VersionStore, commit: Commit, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = commit(store)
    file = open_version(store, version).folder / "a.txt"
    stamps = {path.name: verified_files._stamp(path) for path in file.parent.rglob("*.txt")}
    file.write_text("0ne")
    monkeypatch.setattr(verified_files, "_stamp", lambda path: stamps[path.name])
    open_version(store, version)
    with pytest.raises(BrokenVersion):
        open_version(VersionStore(store.root, store.work, verify_hours=0), version)
    now = time.time()
    monkeypatch.setattr(verified_files.time, "time", lambda: now + 25 * 3600)
    with pytest.raises(BrokenVersion):
        open_version(store, version)


def test_everything_stored_can_be_verified(open_remote: OpenRemote, commit: Commit) -> None:
    store = open_remote("a")
    versions = [commit(store, text * 64, files={"a.txt": text}) for text in "abcd"]
    store.set_apart(versions[0])
    damage(store, versions[1])
    (store.path_of("videos", "gallop", versions[2].sha) / MANIFEST).write_text("null")
    shutil.rmtree(store.work)
    reasons = dict(find_damage(open_remote("b", verify_hours=0)))
    assert len(reasons) == 3 and sum(map(bool, reasons.values())) == 2
    assert any("a.txt is missing or differs" in reason for reason in reasons.values())
    assert any("manifest.json cannot be read" in reason for reason in reasons.values())


# -- readers in a run --------------------------------------------------------------------------------------------------


def test_a_reader_sets_a_damaged_version_apart(open_remote: OpenRemote, commit: Commit) -> None:
    store = open_remote("a")
    version = commit(store, asset="clips", partition=None)
    damage(store, version)
    with dg.DagsterInstance.ephemeral() as instance:
        metadata = {"sha256": version.sha, "recipe": version.recipe}
        instance.report_runless_asset_event(dg.AssetMaterialization("clips", metadata=metadata))
        with pytest.raises(dg.Failure, match="materialize clips again .it was set apart as .*broken-1"):
            load_current(instance, open_remote("b"), "clips")
        commit(open_remote("b"), asset="clips", partition=None)
        assert load_current(instance, open_remote("c"), "clips").sha == version.sha


# -- work on several machines ------------------------------------------------------------------------------------------


def test_results_of_single_clips_are_shared(open_remote: OpenRemote, caplog: pytest.LogCaptureFixture) -> None:
    builds: list[str] = []

    def build(folder: Path) -> None:
        builds.append(folder.name)
        (folder / "sub").mkdir()
        (folder / "sub" / "masks.npz").write_text("masks")

    for machine in "aabb":
        folder = open_remote(machine).cache.get_or_build("masks", RECIPE, build)
        assert (folder / "sub" / "masks.npz").read_text() == "masks"
    assert len(builds) == 1
    store = open_remote("c")
    for file in store.file_system.files(store.root / "items"):
        if file.name != "index.json":
            file.write_text("damaged")
    assert (store.cache.get_or_build("masks", RECIPE, build) / "sub" / "masks.npz").read_text() == "masks"
    assert len(builds) == 2 and "is removed and computed again" in caplog.text
    open_remote("d").cache.get_or_build("masks", RECIPE, build)
    assert len(builds) == 2


def test_another_machine_goes_on_from_the_last_checkpoint(open_remote: OpenRemote, commit: Commit) -> None:
    first, second = open_remote("a"), open_remote("b")
    assert first.builds and second.builds
    name = first.work_folder(RECIPE).name

    def write(store: VersionStore, step: str) -> None:
        (store.work_folder(RECIPE) / "tuned").mkdir(parents=True, exist_ok=True)
        (store.work_folder(RECIPE) / "tuned" / "step").write_text(step)

    def read(store: VersionStore) -> str:
        store.builds.restore(name)  # type: ignore[union-attr]
        return (store.work_folder(RECIPE) / "tuned" / "step").read_text()

    for step in ("2", "4"):
        write(first, step)
        first.builds.save(name)
    write(first, "5")
    assert read(first) == "5", "what is here is further than what was saved"
    assert read(second) == "4"
    write(second, "6")
    second.builds.save(name)
    assert read(first) == "6"
    commit(first)
    first.builds.discard(name)
    assert not second.file_system.exists(second.root / "work")
    shutil.rmtree(second.work)
    second.builds.restore(name)
    assert not second.work_folder(RECIPE).exists()


def test_a_save_that_fails_does_not_stop_the_training(
    open_remote: OpenRemote, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_remote("a")
    store.work_folder(RECIPE).mkdir(parents=True)
    (store.work_folder(RECIPE) / "x").write_text("x")
    monkeypatch.setattr(store.file_system, "upload", lambda *a: (_ for _ in ()).throw(RuntimeError("no network")))
    store.builds.save(store.work_folder(RECIPE).name)  # type: ignore[union-attr]
    assert "could not be saved" in caplog.text


def test_a_home_of_its_own_copies_nothing(store: VersionStore) -> None:
    assert store.builds is None and not store.is_shared
    assert type(store.cache) is Cache
