"""Fetching, as far as it can be tried without the network: what is chosen, and what is said when nothing answers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from mvmodel.cli import app
from mvmodel.errors import PackError
from mvmodel.packs import pull
from mvmodel.packs.info import PACK_PARTS, PackInfo
from mvmodel.packs.pull import SAM_FILE, describe_pull, pull_pack, select_files
from mvmodel.packs.sources import CONTROLNETS, PACK_DESCRIPTIONS, PACK_SOURCES, PULL_STATE


@pytest.mark.parametrize("name", PACK_SOURCES)
def test_every_part_has_a_source_and_the_description_is_valid(name):
    assert set(PACK_SOURCES[name]) == set(PACK_PARTS)
    assert PackInfo.model_validate(PACK_DESCRIPTIONS[name]).name == name


def test_half_precision_is_preferred_and_named_as_the_loader_wants_it():
    repository_files = [
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
    ]
    selected = select_files("unet", [*repository_files, "vae/config.json", "unet/diffusion_pytorch_model.bin"])
    assert selected == {repository_files[2]: "diffusion_pytorch_model.safetensors", "unet/config.json": "config.json"}
    assert next(iter(select_files("unet", repository_files[:2]))) == repository_files[1]
    assert select_files("segmenter", ["README.md", SAM_FILE]) == {SAM_FILE: "sam.pth"}


@pytest.mark.parametrize("part", ["unet", "controlnet", "scorer", "segmenter"])
def test_pickled_weights_alone_are_refused(part):
    with pytest.raises(PackError, match=part):
        select_files(
            part, [f"{part}/diffusion_pytorch_model.bin", "diffusion_pytorch_model.bin", "open_clip_pytorch_model.bin"]
        )


def test_an_unknown_name_is_one_sentence():
    with pytest.raises(PackError, match="there are sd15"):
        pull_pack("sd16")


REPOSITORY_FILES = {
    "stable-diffusion-v1-5": [
        *(f"{part}/{name}" for part, stem in (("vae", "diffusion_pytorch_model"), ("unet", "diffusion_pytorch_model"))
          for name in ("config.json", f"{stem}.fp16.safetensors")),
        *("text_encoder/config.json", "text_encoder/model.fp16.safetensors"),
        *("tokenizer/vocab.json", "scheduler/scheduler_config.json"),
    ],
    "control": ["config.json", "diffusion_pytorch_model.fp16.safetensors"],
    "segment-anything": [SAM_FILE, "README.md"],
    "CLIP": ["open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json"],
}  # fmt: skip


class Hub:
    """A hub in memory, in place of the client's three functions that `pull` calls."""

    def __init__(self) -> None:
        self.requested: list[str] = []
        self.damaged: set[str] = set()
        self.offline_after: int | None = None
        self.cache: Path | None = None

    def content(self, repository: str, name: str) -> bytes:
        return f"{repository}/{name}".encode()

    def model_info(self, repository: str, revision: str | None = None, files_metadata: bool = False):
        names = next(names for key, names in REPOSITORY_FILES.items() if key in repository)
        siblings = []
        for name in names:
            content = self.content(repository, name)
            lfs = namedtuple("Lfs", "sha256")(hashlib.sha256(content).hexdigest()) if "safetensors" in name else None
            siblings.append(SimpleNamespace(rfilename=name, size=len(content), lfs=lfs))
        return SimpleNamespace(sha=revision or f"commit-of-{repository}", siblings=siblings)

    def download(self, repository: str, name: str, revision: str, local_dir: Path) -> str:
        if self.offline_after is not None and len(self.requested) >= self.offline_after:
            raise ConnectionError("the line is down")
        self.requested.append(f"{repository}/{name}")
        path = Path(local_dir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = self.content(repository, name)
        path.write_bytes(content[::-1] if f"{repository}/{name}" in self.damaged else content)
        return str(path)

    def cached(self, repository: str, name: str, revision: str) -> str | None:
        path = self.cache / repository / name if self.cache else None
        return str(path) if path is not None and path.exists() else None


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr(pull, "HfApi", lambda: hub)
    monkeypatch.setattr(pull, "hf_hub_download", hub.download)
    monkeypatch.setattr(pull, "try_to_load_from_cache", hub.cached)
    return hub


def test_a_pack_is_downloaded_once_with_its_revisions(hub: Hub, tmp_path: Path):
    folder = pull_pack("sd15", tmp_path / "sd15")
    info = PackInfo.model_validate(json.loads((folder / "pack.json").read_text()))
    assert info.control == "scribble" and info.training.steps == 3000
    revisions = info.made_by["revisions"]
    assert revisions[CONTROLNETS["scribble"]] == f"commit-of-{CONTROLNETS['scribble']}"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"pack.json", *info.hashes} and not (folder / ".downloads").exists()
    assert (folder / "unet/diffusion_pytorch_model.safetensors").read_bytes().endswith(b"fp16.safetensors")
    requested = len(hub.requested)
    assert pull_pack("sd15", tmp_path / "sd15") == folder and len(hub.requested) == requested
    with pytest.raises(PackError, match="holds a pack with a ControlNet for scribble; give another folder"):
        pull_pack("sd15", tmp_path / "sd15", "canny")


def test_a_complete_pack_is_verified_and_repaired_at_its_commits(hub: Hub, tmp_path: Path, capsys):
    folder = pull_pack("sd15", tmp_path / "sd15")
    weights, scheduler = "vae/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"
    intact, record = (folder / weights).read_bytes(), json.loads((folder / "pack.json").read_text())
    record["generation"]["control_scale"] = 1.4  # as packs check --apply writes
    (folder / "pack.json").write_text(json.dumps(record))
    (folder / weights).write_bytes(intact[:-1])
    (folder / scheduler).unlink()
    requested = len(hub.requested)
    pull_pack("sd15", tmp_path / "sd15")
    assert (folder / weights).read_bytes() == intact and (folder / scheduler).is_file()
    assert len(hub.requested) == requested + 2 and json.loads((folder / "pack.json").read_text()) == record
    assert "diffusion_pytorch_model.safetensors" in capsys.readouterr().err
    record["hashes"][scheduler] = "0" * 64
    (folder / "pack.json").write_text(json.dumps(record))
    with pytest.raises(PackError, match=r"scheduler_config.json is not the file that pack.json records"):
        pull_pack("sd15", tmp_path / "sd15")


def test_an_interrupted_download_resumes_at_the_same_revisions(hub: Hub, tmp_path: Path):
    hub.offline_after = 4
    with pytest.raises(PackError, match="the line is down.*finished files are not downloaded twice"):
        pull_pack("sd15", tmp_path / "sd15")
    assert not (tmp_path / "sd15" / "pack.json").exists()
    state = json.loads((tmp_path / "sd15" / PULL_STATE).read_text())
    state["revisions"][CONTROLNETS["scribble"]] = "older"
    (tmp_path / "sd15" / PULL_STATE).write_text(json.dumps(state))
    hub.offline_after = None
    folder = pull_pack("sd15", tmp_path / "sd15")
    assert len(hub.requested) == len(set(hub.requested))
    made_by = json.loads((folder / "pack.json").read_text())["made_by"]
    assert made_by["revisions"][CONTROLNETS["scribble"]] == "older"


def test_another_controlnet_replaces_the_one_of_an_interrupted_download(hub: Hub, tmp_path: Path):
    hub.offline_after = 12
    with pytest.raises(PackError):
        pull_pack("sd15", tmp_path / "sd15")
    hub.offline_after = None
    folder = pull_pack("sd15", tmp_path / "sd15", "softedge")
    weights = (folder / "controlnet/diffusion_pytorch_model.safetensors").read_text()
    assert CONTROLNETS["softedge"] in weights
    assert json.loads((folder / "pack.json").read_text())["control"] == "softedge"


def test_a_damaged_file_is_refused_by_name(hub: Hub, tmp_path: Path):
    damaged = f"{CONTROLNETS['scribble']}/diffusion_pytorch_model.fp16.safetensors"
    hub.damaged.add(damaged)
    with pytest.raises(PackError, match="diffusion_pytorch_model.*does not match its publisher's hash"):
        pull_pack("sd15", tmp_path / "sd15")
    hub.damaged.clear()
    pull_pack("sd15", tmp_path / "sd15")
    assert hub.requested.count(damaged) == 2


def test_files_in_the_hubs_cache_are_linked(hub: Hub, tmp_path: Path):
    repository, name = CONTROLNETS["scribble"], "diffusion_pytorch_model.fp16.safetensors"
    hub.cache = tmp_path / "cache"
    cached = hub.cache / repository / name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(hub.content(repository, name))
    folder = pull_pack("sd15", tmp_path / "sd15")
    assert (folder / "controlnet/diffusion_pytorch_model.safetensors").samefile(cached)
    assert f"{repository}/{name}" not in hub.requested


def test_a_full_disk_is_said_before_the_download(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(PackError, match="needs .* GB more and its disk has 0.0 GB free"):
        pull_pack("sd15", tmp_path / "sd15")
    assert hub.requested == []


def test_a_dry_run_lists_publishers_licences_and_sizes(monkeypatch: pytest.MonkeyPatch):
    def refuse() -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(pull, "HfApi", refuse)
    printed = CliRunner().invoke(app, ["packs", "pull", "sd15", "--control", "softedge", "--dry-run", "--json"])
    plan = json.loads(printed.stdout)
    assert plan["sizes_from"] == "record" and 3 < plan["download_gb"] == plan["disk_gb"] < 5
    assert plan["parts"]["controlnet"]["repository"] == CONTROLNETS["softedge"]
    assert all(part["publisher"] and part["licence"] for part in plan["parts"].values())
    text = CliRunner().invoke(app, ["packs", "pull", "sd15", "--dry-run"]).stdout
    assert "CreativeML Open RAIL-M" in text and "the hub did not answer" in text


def test_a_controlnet_that_nobody_publishes_is_refused():
    with pytest.raises(PackError, match="nobody publishes a ControlNet for 'mask'"):
        describe_pull("sd15", "mask")


@pytest.mark.slow
def test_no_network_is_one_sentence_and_leaves_no_pack(tmp_path):
    nowhere = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-m", "mvmodel.cli", "packs", "pull", "sd15", "--to", str(tmp_path / "sd15")]
    ran = subprocess.run(command, capture_output=True, text=True, env=nowhere, timeout=1200)
    assert ran.returncode == 2
    assert "cannot be fetched" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "sd15" / "pack.json").exists()
