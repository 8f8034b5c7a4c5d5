"""The trainers of the tiny pack, a few steps each: they run in their order, resume, and end in a pack that loads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mvmodel.errors import InputError

PICTURES = 10
EVALUATION_PICTURES = 4


def _short(config, **changes):
    return replace(config, steps=2, batch=3, warmup=1, checkpoint_every=1, sample_every=10, log_every=1, **changes)


@pytest.fixture(scope="module")
def foundation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A foundation folder with every stage trained for two steps."""
    from diffusers import AutoencoderKL

    from mvmodel.foundation import controlnet, decoder, scorer, segmenter, start_adapter, text_to_image, vae
    from mvmodel.foundation.stages import load_text_to_image_models
    from mvmodel.foundation.start_clips import StartAdapterData

    folder = tmp_path_factory.mktemp("foundation")
    evaluation = {"evaluation_pictures": EVALUATION_PICTURES}
    sampling = {**evaluation, "sampling_steps": 2}
    vae.train_autoencoder(folder / "vae", _short(vae.AUTOENCODER_LOOP), **evaluation)
    model = AutoencoderKL.from_pretrained(folder / "vae" / "model").eval()
    # bfloat16, as in the other stages, takes these minutes on CPUs that only emulate it.
    text_loop, control_loop, decoder_loop, adapter_loop = (
        _short(loop, precision="no")
        for loop in (
            text_to_image.TEXT_TO_IMAGE_LOOP,
            controlnet.CONTROLNET_LOOP,
            decoder.DECODER_LOOP,
            start_adapter.START_ADAPTER_LOOP,
        )
    )
    text_folder = folder / "text_to_image"
    text_to_image.train_text_to_image(text_folder, model, text_loop, pictures=PICTURES, **sampling)
    models = load_text_to_image_models(folder)
    controlnet.train_controlnet(folder / "controlnet", models, text_folder, control_loop, pictures=PICTURES, **sampling)
    data = StartAdapterData(clips=3, exclude_motions=("bounce",))
    adapter_loop = replace(adapter_loop, batch=1)
    start_adapter.train_start_adapter(folder / "start_adapter", load_text_to_image_models(folder), adapter_loop, data)
    decoder.train_decoder(folder / "decoder", model, decoder_loop, **evaluation)
    segmenter.train_segmenter(folder / "segmenter", _short(segmenter.SEGMENTER_LOOP), **evaluation)
    scorer.train_scorer(folder / "scorer", _short(scorer.SCORER_LOOP), **evaluation)
    return folder


@pytest.mark.slow
def test_every_stage_leaves_a_curve_a_grid_and_weights(foundation):
    for stage in ("vae", "text_to_image", "controlnet", "decoder"):
        rows = [json.loads(line) for line in (foundation / stage / "curve.jsonl").read_text().splitlines()]
        assert rows[-1]["step"] == 2
        assert list((foundation / stage).glob("samples-*.png")), stage
    for stage in ("vae", "text_to_image", "controlnet", "decoder", "segmenter", "scorer", "start_adapter"):
        assert list((foundation / stage).rglob("*.safetensors")), stage


@pytest.mark.slow
def test_the_stages_make_a_pack_that_generates(foundation, tmp_path):
    from mvmodel.foundation.pack_assembly import assemble_pack
    from mvmodel.foundation.pack_quality import generate_pictures
    from mvmodel.packs import load_pack

    pack = load_pack(assemble_pack(foundation, tmp_path / "pack", check=False))
    assert pack.check_hashes() == []
    pictures = generate_pictures(pack, ["a dog over a meadow"], seed=1)
    assert pictures.shape == (1, 128, 128, 3)
    assert "## What it cannot do" in (tmp_path / "pack" / "README.md").read_text()


@pytest.mark.slow
def test_a_broken_off_stage_ends_with_the_weights_of_an_unbroken_one(tmp_path, monkeypatch):
    import torch

    from mvmodel.foundation import vae

    config = replace(_short(vae.AUTOENCODER_LOOP, precision="no"), steps=3)
    uninterrupted = vae.train_autoencoder(tmp_path / "whole", config, evaluation_pictures=1)
    make = vae.make_batch

    def breaks(index, *rest):
        if index == 2:
            raise OSError("the disk went away")
        return make(index, *rest)

    monkeypatch.setattr(vae, "make_batch", breaks)
    with pytest.raises(OSError, match="went away"):
        vae.train_autoencoder(tmp_path / "broken", config, evaluation_pictures=1)
    monkeypatch.setattr(vae, "make_batch", make)
    resumed = vae.train_autoencoder(tmp_path / "broken", config, evaluation_pictures=1)
    for name, value in uninterrupted.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_missing_stage_is_named(tmp_path):
    from mvmodel.foundation.stages import run_stage

    with pytest.raises(InputError, match="train that stage first"):
        run_stage("decoder", tmp_path)
    with pytest.raises(InputError, match="no foundation stage 'vea'"):
        run_stage("vea", tmp_path)
