"""Fetching, as far as it can be tried without the network: what is chosen, and what is said when nothing answers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mvmodel.errors import PackError
from mvmodel.packs.info import PACK_PARTS, PackInfo
from mvmodel.packs.pull import PACK_DESCRIPTIONS, PACK_SOURCES, SAM_FILE, pull_pack, select_files


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


@pytest.mark.slow
def test_no_network_is_one_sentence_and_leaves_no_pack(tmp_path):
    nowhere = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-m", "mvmodel.cli", "packs", "pull", "sd15", "--to", str(tmp_path / "sd15")]
    ran = subprocess.run(command, capture_output=True, text=True, env=nowhere, timeout=300)
    assert ran.returncode == 2
    assert "cannot be fetched" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "sd15" / "pack.json").exists()
