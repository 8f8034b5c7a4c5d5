"""The store: what is in it is whole, never changes, and is found again."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from mvmodel.errors import InputError
from pipelines.store.lineage import find_version
from pipelines.store.version_store import BrokenVersion, VersionStore, content_hash, recipe_hash

FIELDS = {"inputs": {}, "code": "c", "config": {"seed": 1}, "pack": {}, "libraries": {}}


def fill(store: VersionStore, recipe: str, **files: str) -> Path:
    """A work folder with files, as a step leaves it."""
    work = store.work_folder(recipe)
    for name, text in files.items():
        path = work / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return work


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> VersionStore:
    """On a disk, and on an fsspec file system that is no disk."""
    root = tmp_path / "store" if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    return VersionStore(root, tmp_path / "work")


def commit(store: VersionStore, recipe: str, asset: str = "videos", partition: str | None = "gallop", **files: str):
    return store.commit(fill(store, recipe, **files), asset=asset, partition=partition, recipe=recipe, **FIELDS)


def test_a_version_is_found_by_its_recipe_and_opened_whole(store: VersionStore) -> None:
    version = commit(store, "a" * 64, a_dot_txt="one", sub__b_dot_txt="two")
    version_of_recipe = store.find("videos", "gallop", "a" * 64)
    assert version_of_recipe == version
    handle = store.open("videos", "gallop", version.sha)
    assert (handle.folder / "sub" / "b.txt").read_text() == "two"
    assert (
        json.loads((store.path_of("videos", "gallop", version.sha) / "manifest.json").read_text())["recipe"] == "a" * 64
    )
    assert not store.work_folder("a" * 64).exists()


def test_the_same_content_from_another_recipe_is_stored_once(store: VersionStore) -> None:
    first = commit(store, "a" * 64, a_dot_txt="one")
    second = commit(store, "b" * 64, a_dot_txt="one")
    different = commit(store, "c" * 64, a_dot_txt="two")
    assert first.sha == second.sha != different.sha
    assert len(list(store.versions("videos", "gallop"))) == 2
    assert store.find("videos", "gallop", "b" * 64).sha == first.sha
    assert store.version("videos", "gallop", first.sha).recipe == "a" * 64, "a stored version is never written again"


@pytest.mark.parametrize("harm", ["change", "remove", "add"])
def test_a_version_that_differs_from_its_manifest_is_refused_by_key_and_path(tmp_path: Path, harm: str) -> None:
    store = VersionStore(tmp_path / "store", tmp_path / "work")
    version = commit(store, "a" * 64, a_dot_txt="one")
    file = Path(str(store.path_of("videos", "gallop", version.sha))) / "a.txt"
    if harm == "add":
        (file.parent / "extra.txt").write_text("?")
    elif harm == "remove":
        file.unlink()
    else:
        file.write_text("0ne")
    with pytest.raises(BrokenVersion, match=r"videos\[gallop\].*(a|extra)\.txt"):
        store.open("videos", "gallop", version.sha)


def test_a_missing_version_names_its_place(store: VersionStore) -> None:
    with pytest.raises(BrokenVersion, match=r"videos\[gallop\]: version abcd.* is missing at .*videos.gallop"):
        store.open("videos", "gallop", "abcd" * 16)


def test_broken_content_is_set_apart_and_made_again(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "store", tmp_path / "work")
    version = commit(store, "a" * 64, a_dot_txt="one")
    (Path(str(store.path_of("videos", "gallop", version.sha))) / "a.txt").write_text("0ne")
    rebuilt = commit(store, "a" * 64, a_dot_txt="one")
    assert rebuilt.sha == version.sha
    assert (store.open("videos", "gallop", version.sha).folder / "a.txt").read_text() == "one"
    assert len(list((tmp_path / "store" / "videos" / "gallop").glob("broken-*"))) == 1


def test_killed_between_the_move_and_the_index_is_still_found(store: VersionStore) -> None:
    version = commit(store, "a" * 64, a_dot_txt="one")
    (store.root / "recipes" / f"{'a' * 64}.json").unlink()
    assert store.find("videos", "gallop", "a" * 64) == version
    assert (store.root / "recipes" / f"{'a' * 64}.json").exists()


def test_volatile_files_are_kept_and_checked_but_make_no_version(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "store", tmp_path / "work")
    shas = []
    for recipe, curve in (("a" * 64, "1 s"), ("b" * 64, "2 s")):
        work = fill(store, recipe, weights="w", sub__curve_dot_jsonl=curve)
        version = store.commit(work, ("*curve.jsonl",), asset="m", partition=None, recipe=recipe, **FIELDS)
        shas.append(version.sha)
    assert shas[0] == shas[1]
    (Path(str(store.path_of("m", None, shas[0]))) / "sub" / "curve.jsonl").write_text("9 s")
    with pytest.raises(BrokenVersion, match="curve"):
        store.open("m", None, shas[0])


def test_a_step_that_wrote_nothing_is_an_error(store: VersionStore) -> None:
    store.work_folder("a" * 64).mkdir(parents=True)
    with pytest.raises(BrokenVersion, match="wrote nothing"):
        store.commit(store.work_folder("a" * 64), asset="m", partition=None, recipe="a" * 64, **FIELDS)


@pytest.mark.parametrize("name", ["../x", "a/b", "A", "", ".", "x" * 64, "a b"])
def test_names_that_would_leave_the_store_are_refused(store: VersionStore, name: str) -> None:
    with pytest.raises(InputError):
        store.path_of(name, None, "0" * 64)


def test_an_item_is_made_once_and_a_failed_one_not_kept(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "store", tmp_path / "work")
    builds: list[str] = []

    def build(folder: Path) -> None:
        builds.append("x")
        (folder / "x").write_text("x")
        if len(builds) == 1:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        store.cache.get_or_build("masks", "r" * 64, build)
    folder = store.cache.get_or_build("masks", "r" * 64, build)
    assert store.cache.get_or_build("masks", "r" * 64, build) == folder
    assert len(builds) == 2


@pytest.mark.parametrize("text", ["[]", '{"name": "a web page"}', "no JSON"])
def test_a_manifest_of_another_program_beside_a_copy_is_passed_over(tmp_path: Path, text: str) -> None:
    store = VersionStore(tmp_path / "store", tmp_path / "work")
    version = commit(store, "a" * 64, a_dot_txt="one")
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "copy.txt").write_text("one")
    assert find_version(tmp_path / "copy.txt", store) == version


def test_hashes_depend_on_what_they_should() -> None:
    base = recipe_hash(asset="a", config={"seed": 1, "steps": 2}, inputs={"x": "1"})
    assert base == recipe_hash(inputs={"x": "1"}, config={"steps": 2, "seed": 1}, asset="a")
    assert base != recipe_hash(asset="a", config={"seed": 2, "steps": 2}, inputs={"x": "1"})
    assert content_hash({"a": "1"}) != content_hash({"b": "1"})
