"""Packs in half precision, as a GPU has them, through the same code, on a CPU."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.image_unet.first_frame import generate_first_frames
from mvmodel.backends.image_unet.long_video import generate_long_video
from mvmodel.backends.instances import Instance
from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.errors import InputError
from mvmodel.packs import load_pack
from mvmodel.packs.device import resolve_device, resolve_dtype
from mvmodel.training.finetune import finetune
from mvmodel.world.render import random_clip

HALVES = ("float16", "bfloat16")


@pytest.fixture(autouse=True)
def no_talk():
    """diffusers advises against float16 on a CPU, which is not the question here."""
    before = logging.getLogger("diffusers").level
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    yield
    logging.getLogger("diffusers").setLevel(before)


def clip(frames: int = 3) -> TrainingClip:
    made = random_clip((3, 4), frames=frames)
    return TrainingClip("a", made.frames[:, ::2, ::2], made.masks[:, ::2, ::2], "a dog in the snow")


def test_auto_is_half_on_a_gpu_and_whole_on_a_cpu(small_pack, monkeypatch):
    assert (resolve_dtype("auto", "cuda:1"), resolve_dtype("auto", "cpu")) == ("float16", "float32")
    assert resolve_dtype("bfloat16", "cpu") == "bfloat16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    assert (small_pack.device, small_pack.dtype, small_pack.unet().dtype) == ("cpu", "float32", torch.float32)


def test_auto_asks_torch_where_a_driver_is(monkeypatch):
    monkeypatch.setattr("mvmodel.packs.device.Path.exists", lambda self: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda" and resolve_device("cuda:1") == "cuda:1"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"


def test_names_that_are_none_are_told_in_a_sentence(small_pack_folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="'gpu' is not one of auto, cpu"):
        resolve_device("gpu")
    with pytest.raises(InputError, match="no GPU; use device auto or cpu"):
        load_pack(small_pack_folder, device="cuda").vae()
    with pytest.raises(InputError, match="'half' is not one of auto, float32"):
        load_pack(small_pack_folder, dtype="half").vae()


@pytest.mark.parametrize("dtype", HALVES)
def test_videos_are_those_of_the_whole_numbers_but_for_rounding(small_pack_folder, tmp_path, dtype):
    adapter = finetune(
        load_backend(load_pack(small_pack_folder)), [clip()], TrainConfig(steps=2, init_from=None), tmp_path
    )
    masks, config = np.tile(clip().masks, (3, 1, 1)), GenerationConfig(steps=3, window=4, overlap=1)
    made = {}
    for name in ("float32", dtype):
        pack = load_pack(small_pack_folder, dtype=name)
        pipeline = build_pipeline(pack, adapter, config)
        assert {part.dtype for part in (pipeline.unet, pipeline.vae, pipeline.adapter)} == {getattr(torch, name)}
        first = generate_first_frames(pack, ["a dog"], masks[:1], [1], config)[0]
        video = generate_long_video(pipeline, "a dog", masks, first, config, 1, tmp_path / name)
        made[name] = np.array(video).astype(float)
    away = np.abs(made[dtype] - made["float32"]).mean()
    assert 0 < away < 0.1 * made["float32"].std()


def test_objects_bound_to_words_have_a_first_frame_in_half_precision(small_pack_folder, tmp_path, monkeypatch):
    adapter = finetune(
        load_backend(load_pack(small_pack_folder)), [clip()], TrainConfig(steps=1, init_from=None), tmp_path
    )
    pack = load_pack(small_pack_folder, dtype="bfloat16")
    monkeypatch.setattr(type(pack), "start_adapter", lambda self: adapter)
    masks = clip().masks
    both = [Instance("dog", masks), Instance("ball", ~masks)]
    frames = generate_first_frames(
        pack, ["a dog and a ball"], masks[:1], [1], GenerationConfig(steps=2), instances=both
    )
    assert frames.shape == (1, 64, 64, 3) and frames.std() > 1


@pytest.mark.parametrize(("dtype", "precision"), [("float16", "no"), ("float16", "bf16"), ("bfloat16", "bf16")])
def test_tuning_computes_from_whole_numbers_and_gives_the_pack_back_as_it_was(
    small_pack_folder, tmp_path, dtype, precision
):
    pack, seen = load_pack(small_pack_folder, dtype=dtype), set()
    before = {name: value.clone() for name, value in pack.unet().state_dict().items()}
    pack.unet().register_forward_pre_hook(lambda module, _: seen.add(module.dtype))
    config = TrainConfig(steps=2, init_from=None, precision=precision, preview_every=2)
    out = finetune(load_backend(pack), [clip()], config, tmp_path, validation=[clip()])
    assert seen == {torch.float32}
    for name, value in pack.unet().state_dict().items():
        assert value.dtype == getattr(torch, dtype) and torch.equal(value, before[name])
    facts = json.loads((out / "train.json").read_text())
    assert np.isfinite(facts["validation_loss_after"]) and list((out / "previews").glob("*.png"))
