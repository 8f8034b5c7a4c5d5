"""What SECURITY.md promises, beyond hostile files: names, secrets, servers, and the audit of dependencies."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dagster_shared.serdes import serialize_value

from mvmodel.authoring.library import Library
from mvmodel.errors import InputError, PackError
from mvmodel.packs.info import read_pack_info
from mvmodel.video.frames import read_frames
from pipelines.definitions import build_defs
from pipelines.settings import validate_settings, write_settings
from pipelines.store.file_system import StoreFiles
from pipelines.store.shared_folder import download_folder

OUTSIDE = ["../outside", "/etc/passwd", "a/../../outside", "..\\outside", "C:\\outside", "a\0b"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_packs_name_no_files_elsewhere(small_pack_folder: Path, tmp_path: Path, name: str) -> None:
    description = json.loads((small_pack_folder / "pack.json").read_text())
    changes: list[dict[str, Any]] = [
        {"segmenter": {**description["segmenter"], "checkpoint": name}},
        {"scorer": {"folder": name}},
        {"scorer": {"model": "ViT-B-32", "checkpoint": name}},
        {"start_adapter": name},
    ]
    for change in changes:
        (tmp_path / "pack.json").write_text(json.dumps({**description, **change}))
        with pytest.raises(PackError, match="not a path inside the pack's folder"):
            read_pack_info(tmp_path)


@pytest.mark.parametrize("name", OUTSIDE)
def test_libraries_name_no_files_elsewhere(tmp_path: Path, name: str) -> None:
    library = Library(tmp_path, pd.DataFrame({"name": [name]}), None)
    with pytest.raises(InputError, match="names a file outside of it"):
        library.sequence(name)


@pytest.mark.parametrize("name", OUTSIDE)
def test_shared_folders_name_no_files_elsewhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / "store" / "items" / "masks" / "x"
    path.mkdir(parents=True)
    (path / "abc").write_text("hostile")
    for files in ({name: "abc"}, {"a": f"../{name}"}):
        (path / "index.json").write_text(json.dumps({"files": files}))
        assert not download_folder(StoreFiles(tmp_path / "store"), path, tmp_path / "work" / "x")  # type: ignore[arg-type]
    assert not (tmp_path / "work").exists() and not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", ["../outside.npy", "/outside.npy"])
def test_archives_are_not_unpacked(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "video.npz", **{name.removesuffix(".npy"): np.zeros((1, 8, 8, 3), np.uint8)})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="holds no video"):
        read_frames(tmp_path / "video.npz")
    assert sorted(tmp_path.rglob("*")) == before and not (tmp_path.parent / "outside.npy").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"store": "ftp://user:hunter2@host/mvmodel"},
        {"store": "https://host/store?access_token=hunter2"},
        {"store": "abfs://container/x?sig_signature=hunter2"},
        {"store": "s3://bucket", "store_options": {"secret": "hunter2"}},
        {"store": "s3://bucket", "store_options": {"client_kwargs": {"aws_session_token": "hunter2"}}},
        {"store": "abfs://c", "store_options": {"account_key": "hunter2"}},
        {"store": "abfs://c", "store_options": {"connection_string": "hunter2"}},
        {"store": "sftp://h", "store_options": {"password": ["hunter2"]}},
        {"store": "s3://bucket", "store_options": {"secret": {"env": 7}}},
        {"store": "s3://bucket", "store_options": {"secret": {"env": "A", "value": "hunter2"}}},
    ],
)
def test_a_secret_in_the_settings_is_refused_and_not_repeated(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="secret") as caught:
        validate_settings(settings, "settings.yaml")
    assert "hunter2" not in str(caught.value) and "env: NAME" in str(caught.value)


def test_options_that_are_no_secrets_are_accepted() -> None:
    options = {"endpoint_url": "http://127.0.0.1:9000", "anon": False, "key": {"env": "KEY"}, "use_ssl": True}
    validate_settings({"store": "s3://bucket/x", "store_options": {**options, "secret": {"env": "SECRET"}}}, "x")


def test_a_secret_is_in_no_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", "hunter2")
    sections = {"store": "s3://bucket/x", "store_options": {"secret": {"env": "STORE_SECRET"}}}
    defs = build_defs(home=tmp_path, sections=sections)
    text = "".join(serialize_value(job.get_job_snapshot()) for job in defs.resolve_all_job_defs())
    assert "STORE_SECRET" in text and "hunter2" not in text
    assert "hunter2" not in repr(defs.resources)


def test_the_users_hooks_are_in_no_snapshot_and_no_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook's address is a secret, and a command may hold one. Only the sensor that calls them has them."""
    hooks = {"failure_webhook": "https://hooks.example/hunter2", "failure_command": "tell --token hunter2"}
    settings = {"automation": {"enabled": True, **hooks}, "training": {"steps": 7}}
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    write_settings(tmp_path, settings)
    for defs in (build_defs(home=tmp_path, sections=settings), build_defs(home=tmp_path), build_defs()):
        jobs = defs.resolve_all_job_defs()
        text = "".join(serialize_value(job.get_job_snapshot()) + str(job.run_config_schema.config_type) for job in jobs)
        assert "hunter2" not in text + repr(defs.resources)


def test_no_server_listens_on_the_network(repository: Path) -> None:
    """In the code and in make's targets. A container's own address is its image's business."""
    for package in ("mvmodel", "pipelines"):
        for file in (repository / package).rglob("*.py"):
            constants = [node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)]
            assert not {"0.0.0.0", "::"} & {value for value in constants if isinstance(value, str)}, file
    for line in (repository / "Makefile").read_text().splitlines():
        assert "0.0.0.0" not in line
        assert "dagster dev" not in line or "-h 127.0.0.1" in line


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("program", "status", "sentence"),
    [
        ("exit 1", 2, "nothing was audited"),
        ("echo x; case $* in *version*) ;; *) echo ConnectionError; exit 1;; esac", 2, "nothing was audited"),
        (
            "echo No known vulnerabilities found; sed -n 's/==.*/ could not be audited/p' constraints.txt",
            2,
            "nothing was audited",
        ),
        ("echo No known vulnerabilities found", 0, "No known vulnerabilities found"),
        ("echo x; case $* in *version*) ;; *) echo PYSEC-1; exit 1;; esac", 2, "PYSEC-1"),
    ],
)
def test_the_audit_says_when_it_cannot_be_made(
    repository: Path, tmp_path: Path, program: str, status: int, sentence: str
) -> None:
    (tmp_path / "uv").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "uv").chmod(0o755)
    command = ["make", "-f", "Makefile", "audit", f"BIN={tmp_path}", f"READY={tmp_path}/uv"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, env=environment)
    assert result.returncode == status and sentence in result.stdout
    assert "nothing was audited" not in result.stdout or status == 2


def test_the_instance_sends_no_telemetry(repository: Path) -> None:
    assert "telemetry:\n  enabled: false" in (repository / "dagster.yaml").read_text()
