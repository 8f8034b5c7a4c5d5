"""Packs: finding, loading, refusing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from mvmodel.cli import app
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


def test_models_on_a_cpu_keep_channels_last_and_save_as_usual(small_pack, tmp_path: Path):
    for model in (small_pack.vae(), small_pack.unet(), small_pack.controlnet()):
        convolutions = [value for value in model.parameters() if value.ndim == 4 and 1 not in value.shape]
        assert convolutions and all(value.is_contiguous(memory_format=torch.channels_last) for value in convolutions)
        model.save_pretrained(tmp_path)
        saved, state = load_file(tmp_path / "diffusion_pytorch_model.safetensors"), model.state_dict()
        assert saved.keys() == state.keys()
        assert all(torch.equal(saved[name], value) for name, value in state.items())
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in convolutions)


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
    with pytest.raises(PackError, match=r"unet/diffusion_pytorch_model.safetensors is damaged or cut off"):
        _ = load_pack(copy).memory
    (copy / "pack.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(PackError, match="pack.json does not describe a model pack"):
        load_pack(copy)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[1, 2]", "valid dictionary"),
        ("", "Expecting value"),
        ('{"name": "Gr\u00f6\u00dfe"}'.encode("latin-1"), "'utf-8' codec"),
        ({"control": "scribbles"}, "control: Input should be 'mask', 'scribble'"),
        ({"fps": float("nan")}, "fps: Input should be a finite number"),
        ({"training": {"lr": "fast"}}, "training.lr"),
        ({"segmenter": {"type": "tiny", "checkpoint": "../sam.pth"}}, "not a path inside the pack's folder"),
    ],
)
def test_a_broken_description_is_named(small_pack_folder: Path, tmp_path: Path, content, reason):
    folder = _copy_with_description(small_pack_folder, tmp_path, content)
    with pytest.raises(PackError, match=f"pack.json does not describe a model pack .*{reason}"):
        load_pack(folder)


def _copy_with_description(pack_folder: Path, tmp_path: Path, content) -> Path:
    """A copy of a pack whose pack.json is `content`: text, bytes, or values that are changed."""
    folder = shutil.copytree(pack_folder, tmp_path / "changed")
    file = folder / "pack.json"
    if isinstance(content, dict):
        content = json.dumps(json.loads(file.read_text()) | content)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_a_broken_pack_does_not_hide_the_others(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MVMODEL_HOME", str(tmp_path))
    (tmp_path / "packs" / "broken").mkdir(parents=True)
    (tmp_path / "packs" / "broken" / "pack.json").write_text("{")
    result = CliRunner().invoke(app, ["packs", "list"])
    assert result.exit_code == 0 and "tiny" in result.stdout
    assert "broken/pack.json does not describe a model pack" in result.stderr


def test_what_a_description_claims_is_checked(small_pack_folder: Path, tmp_path: Path):
    folder = _copy_with_description(small_pack_folder, tmp_path, {"size": "70x50", "start_adapter": "nowhere"})
    with pytest.raises(InputError, match="70x50 does not fit the pack .* multiples of 16; use 64x48"):
        load_pack(folder)
    description = json.loads((folder / "pack.json").read_text()) | {"size": 64}
    (folder / "pack.json").write_text("\ufeff" + json.dumps(description), encoding="utf-8")  # as Notepad writes it
    with pytest.raises(PackError, match="nowhere, the start adapter that pack.json names, does not exist"):
        load_pack(folder).start_adapter()


@pytest.mark.parametrize(("part", "load"), [("unet", "unet"), ("vae", "vae"), ("text_encoder", "text_encoder")])
def test_weights_that_are_missing_are_named(small_pack_folder: Path, tmp_path: Path, part: str, load: str):
    """transformers and diffusers would go on with random ones, or with none."""
    folder = shutil.copytree(small_pack_folder, tmp_path / "half")
    (file,) = (folder / part).glob("*.safetensors")
    weights = load_file(file)
    save_file({name: weights[name] for name in sorted(weights)[::2]}, file, metadata={"format": "pt"})
    with pytest.raises(PackError, match=rf"the {part} of model pack .*half lacks \d+ weights, such as "):
        getattr(load_pack(folder, "cpu"), load)()


def test_a_cut_off_scorer_and_a_missing_shard_are_named(small_pack_folder: Path, tmp_path: Path):
    folder = shutil.copytree(small_pack_folder, tmp_path / "cut")
    scorer = folder / "scorer" / "open_clip_model.safetensors"
    scorer.write_bytes(scorer.read_bytes()[:50_000])
    with pytest.raises(PackError, match="the scorer of model pack .*cut cannot be loaded .*not fully covered"):
        load_pack(folder, "cpu").scorer()
    unet = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(unet)
    first, second = (f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2))
    places = {name: first if index % 2 else second for index, name in enumerate(sorted(weights))}
    save_file({name: weights[name] for name, place in places.items() if place == first}, unet.with_name(first))
    unet.with_name(f"{unet.name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    unet.unlink()
    with pytest.raises(PackError, match=f"the unet of model pack .*{second}"):
        load_pack(folder, "cpu").unet()


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
