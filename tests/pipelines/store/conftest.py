"""Stores on every kind of file system: this disk, fsspec's memory, and S3 as moto serves it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.store.version_store import Version, VersionStore

FIELDS: dict[str, Any] = {"inputs": {}, "code": "c", "config": {"seed": 1}, "pack": {}, "libraries": {}}
RECIPE = "a" * 64


@pytest.fixture(scope="session")
def s3_options(monkeypatch_session: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Options of fsspec for a server of moto with the bucket "bucket"."""
    server_module = pytest.importorskip("moto.server", reason="moto is not installed (pip install 'moto[s3,server]')")
    pytest.importorskip("s3fs", reason="s3fs is not installed (pip install 'mvmodel[scale]')")
    import boto3

    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch_session.setenv(name, "test")
    monkeypatch_session.setenv("AWS_DEFAULT_REGION", "us-east-1")
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="bucket")
    yield {"endpoint_url": endpoint}
    server.stop()


@pytest.fixture(scope="session")
def monkeypatch_session() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.slow)])
def address(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Address and options of an empty store of objects."""
    options = request.getfixturevalue("s3_options") if request.param == "s3" else {}
    return {"memory": "memory://", "s3": "s3://bucket/"}[request.param] + uuid.uuid4().hex, options


@pytest.fixture
def open_remote(address: tuple[str, dict[str, Any]], tmp_path: Path) -> Callable[..., VersionStore]:
    """Opens one store of objects from the work folder of a machine: `open_remote("a")`."""
    root, options = address

    def open_store(machine: str = "a", **arguments: Any) -> VersionStore:
        return VersionStore(root, tmp_path / machine / "work", options, **arguments)

    return open_store


@pytest.fixture
def commit() -> Callable[..., Version]:
    """Commits files as a step does: `commit(store, recipe, asset, partition, {name: text})`."""

    def commit_files(
        store: VersionStore,
        recipe: str = RECIPE,
        asset: str = "videos",
        partition: str | None = "gallop",
        files: dict[str, str] | None = None,
        **fields: Any,
    ) -> Version:
        work = store.work_folder(recipe)
        for name, text in (files or {"a.txt": "one", "sub/b.txt": "two"}).items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
        return store.commit(work, asset=asset, partition=partition, recipe=recipe, **{**FIELDS, **fields})

    return commit_files
