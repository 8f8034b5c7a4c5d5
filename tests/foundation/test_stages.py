"""The trainers of the tiny pack, a few steps each: they run in their order, resume, and end in a pack that loads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mvmodel.errors import InputError

PICTURES = 50


def _short(config, **changes):
    return replace(config, steps=2, batch=3, warmup=1, checkpoint_every=1, sample_every=10, log_every=1, **changes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A foundation folder with every stage trained for two steps."""
    from diffusers import AutoencoderKL

    from mvmodel.foundation import controlnet, decoder, scorer, segmenter, start_adapter, text_to_image, vae
    from mvmodel.foundation.stages import load_models

    folder = tmp_path_factory.mktemp("foundation")
    vae.run(folder / "vae", _short(vae.CONFIG))
    model = AutoencoderKL.from_pretrained(folder / "vae" / "model").eval()
    text_to_image.run(folder / "text_to_image", model, _short(text_to_image.CONFIG), pictures=PICTURES)
    models = load_models(folder)
    controlnet.run(
        folder / "controlnet", models, folder / "text_to_image", _short(controlnet.CONFIG), pictures=PICTURES
    )
    start_adapter.run(folder / "start_adapter", load_models(folder), _short(start_adapter.CONFIG), clips=4)
    decoder.run(folder / "decoder", model, _short(decoder.CONFIG))
    segmenter.run(folder / "segmenter", _short(segmenter.CONFIG))
    scorer.run(folder / "scorer", _short(scorer.CONFIG))
    return folder


@pytest.mark.slow
def test_every_stage_leaves_a_curve_a_grid_and_weights(trained):
    for stage in ("vae", "text_to_image", "controlnet", "decoder"):
        rows = [json.loads(line) for line in (trained / stage / "curve.jsonl").read_text().splitlines()]
        assert rows[-1]["step"] == 2
        assert list((trained / stage).glob("samples-*.png")), stage
    for stage in ("vae", "text_to_image", "controlnet", "decoder", "segmenter", "scorer", "start_adapter"):
        assert list((trained / stage).rglob("*.safetensors")), stage


@pytest.mark.slow
def test_the_stages_make_a_pack_that_generates(trained, tmp_path):
    from mvmodel.foundation.check import generated
    from mvmodel.foundation.pack import assemble
    from mvmodel.packs import load_pack

    pack = load_pack(assemble(trained, tmp_path / "pack", check=False))
    assert pack.check_hashes() == []
    pictures = generated(pack, ["a dog over a meadow"], seed=1)
    assert pictures.shape == (1, 128, 128, 3)
    assert "## What it cannot do" in (tmp_path / "pack" / "README.md").read_text()


@pytest.mark.slow
def test_a_broken_off_stage_ends_with_the_weights_of_an_unbroken_one(tmp_path, monkeypatch):
    import torch

    from mvmodel.foundation import vae

    config = replace(_short(vae.CONFIG), steps=3)
    whole = vae.run(tmp_path / "whole", config)
    make = vae.batch

    def breaks(index, *rest):
        if index == 2:
            raise OSError("the disk went away")
        return make(index, *rest)

    monkeypatch.setattr(vae, "batch", breaks)
    with pytest.raises(OSError, match="went away"):
        vae.run(tmp_path / "broken", config)
    monkeypatch.setattr(vae, "batch", make)
    resumed = vae.run(tmp_path / "broken", config)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_missing_stage_is_named(tmp_path):
    from mvmodel.foundation.stages import run_stage

    with pytest.raises(InputError, match="train that stage first"):
        run_stage("decoder", tmp_path)
    with pytest.raises(InputError, match="no foundation stage 'vea'"):
        run_stage("vea", tmp_path)
