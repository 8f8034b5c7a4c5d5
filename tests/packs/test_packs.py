"""Packs: finding, loading, refusing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mvmodel.errors import InputError, PackError
from mvmodel.packs import find_pack_folder, load_pack
from mvmodel.packs.info import TrainingInfo, describe_unknown_footage
from mvmodel.packs.random_pack import write_random_pack
from mvmodel.world.render import HELD_OUT, random_clip


def test_small_random_pack_loads_every_part(small_pack):
    assert small_pack.info.random
    assert small_pack.check_hashes() == []
    assert small_pack.latent_factor == 8
    assert small_pack.unet().config.cross_attention_dim == small_pack.text_encoder().config.hidden_size
    assert small_pack.controlnet() is small_pack.controlnet()
    assert small_pack.tokenizer()("a horse").input_ids[0] == 49406
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    assert small_pack.scorer().images(frames).shape == (2, 16)
    assert small_pack.start_adapter() is None


def test_unknown_pack_says_what_to_do():
    with pytest.raises(PackError, match="no model pack 'nosuch'.*packs pull"):
        find_pack_folder("nosuch")


def test_pack_without_a_part_is_refused(small_pack_folder: Path, tmp_path: Path):
    broken = tmp_path / "broken"
    shutil.copytree(small_pack_folder, broken)
    shutil.rmtree(broken / "controlnet")
    with pytest.raises(PackError, match="broken lacks controlnet"):
        load_pack(broken)


def test_changed_file_and_broken_description_are_noticed(small_pack_folder: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(small_pack_folder, copy)
    weights = copy / "segmenter" / "sam.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + b"12345678")
    assert load_pack(copy).check_hashes() == ["segmenter/sam.safetensors"]
    (copy / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(PackError, match="the unet of model pack .*copy cannot be loaded"):
        load_pack(copy).unet()
    (copy / "pack.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(PackError, match="pack.json does not describe a model pack"):
        load_pack(copy)


def test_fake_of_another_kind_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no fake pack 'sdxl'; use one of sd15, small"):
        write_random_pack("sdxl", tmp_path / "x")


def test_same_seed_writes_the_same_pack(small_pack_folder: Path, tmp_path: Path):
    second_pack = load_pack(write_random_pack("small", tmp_path / "again"))
    assert second_pack.hash == load_pack(small_pack_folder).hash


def test_shipped_pack_is_whole_and_small(tiny_pack):
    assert tiny_pack.check_hashes() == []
    size = sum(p.stat().st_size for p in tiny_pack.folder.rglob("*.safetensors"))
    assert size <= 40 * 2**20
    assert not tiny_pack.info.random


@pytest.mark.slow
def test_shipped_pack_measures_what_it_says(tiny_pack):
    """A part of `mvmodel packs check`: the cheap measures, within sampling noise of the recorded ones."""
    from mvmodel.foundation import pack_quality

    quality = (
        pack_quality.measure_autoencoder(tiny_pack, 64)
        | pack_quality.measure_scorer(tiny_pack, 128)
        | pack_quality.measure_segmenter(tiny_pack, 24)
    )
    for name, value in quality.items():
        tolerance = 0.6 if "psnr" in name else 0.06
        assert value == pytest.approx(tiny_pack.info.quality[name], abs=tolerance), name


def test_training_settings_of_the_pack_replace_those_that_are_not_given(small_pack):
    from mvmodel.backends.load import load_backend
    from mvmodel.backends.training_config import TrainConfig

    assert load_backend(small_pack).fill_training_config(TrainConfig()) == TrainConfig()
    small_pack.info = small_pack.info.model_copy(update={"training": TrainingInfo(steps=7, lr=2e-5)})
    filled = load_backend(small_pack).fill_training_config(TrainConfig(lr=1e-3, warmup=0))
    assert (filled.steps, filled.lr, filled.warmup) == (7, 1e-3, 0)
    assert load_backend(small_pack).fill_training_config(filled) == filled
    assert TrainConfig(**filled.model_dump()).for_pack(small_pack.info) == filled


def test_the_tiny_pack_knows_renders_and_no_photographs(tiny_pack):
    frames = random_clip((HELD_OUT, 3), frames=3).frames
    assert tiny_pack.knows_footage(frames)
    rng = np.random.default_rng(0)
    rough = cv2.resize(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8), (240, 160), interpolation=cv2.INTER_CUBIC)
    assert not tiny_pack.knows_footage(np.stack([rough] * 3)), "texture that no render has"
    assert "sd15" in describe_unknown_footage(tiny_pack.info, ["a", "b", "c", "d"])
