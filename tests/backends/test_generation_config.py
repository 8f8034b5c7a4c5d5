"""Guidance that a run leaves open is the pack's, then the general one; what was used is recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.later_frames_settings import SETTINGS
from mvmodel.backends.generation_config import (
    GENERIC_SAMPLING,
    LATER_FRAME_OPTIONS,
    WITHOUT_MASKS,
    GenerationConfig,
)
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.image_unet.first_frame import generate_first_frames
from mvmodel.backends.image_unet.long_video import generate_long_video, pipeline_options
from mvmodel.backends.image_unet.pipeline import MaskVideoPipeline
from mvmodel.backends.load import load_backend
from mvmodel.errors import PackError
from mvmodel.foundation.pack_assembly import GENERATION
from mvmodel.generation.requests import Request, first_frames, generate
from mvmodel.masks import MaskSequence
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.packs import load_pack
from mvmodel.packs.sources import PACK_DESCRIPTIONS

QUICK = GenerationConfig(steps=2, first_frame_steps=2, window=4, overlap=1)


@pytest.fixture
def recommending(small_pack_folder: Path, tmp_path: Path):
    """The small pack with a recommendation of its own."""
    copy = shutil.copytree(small_pack_folder, tmp_path / "recommending")
    info = json.loads((copy / "pack.json").read_text())
    info["generation"] = {"guidance_scale": 3.0, "first_frame_guidance": 4.0}
    (copy / "pack.json").write_text(json.dumps(info))
    return load_pack(copy)


def test_the_run_then_the_pack_then_the_general_default(small_pack, recommending):
    assert recommending.hash == small_pack.hash and recommending.check_hashes() == []
    explicit = GenerationConfig(guidance_scale=1.5).for_pack(recommending.info)
    assert (explicit.guidance_scale, explicit.first_frame_guidance) == (1.5, 4.0)
    general = GenerationConfig().for_pack(small_pack.info)
    assert {name: getattr(general, name) for name in GENERIC_SAMPLING} == GENERIC_SAMPLING
    assert explicit.for_pack(small_pack.info) == explicit


def change_pack_defaults(small_pack, **later_frames):
    generation = small_pack.info.generation.model_copy(update={"later_frames": later_frames})
    return small_pack.info.model_copy(update={"generation": generation})


def test_a_pack_has_its_own_defaults_for_later_frames(small_pack):
    info = change_pack_defaults(small_pack, control_frames="every", draft_strength=0.5)
    filled = GenerationConfig(draft_strength=0.0).for_pack(info)
    assert (filled.control_frames, filled.draft_strength) == ("every", 0.0)
    assert filled.for_pack(info) == filled and filled.for_pack(small_pack.info) == filled
    plain = GenerationConfig().for_pack(small_pack.info)
    assert {name: getattr(plain, name) for name in LATER_FRAME_OPTIONS} == {
        name: getattr(GenerationConfig(), name) for name in LATER_FRAME_OPTIONS
    }


@pytest.mark.parametrize("values", [{"steps": 3}, {"draft_strength": 2.0}, {"noise_follow": True}])
def test_wrong_defaults_of_a_pack_are_refused_by_name(small_pack, values):
    with pytest.raises(PackError, match=r"pack\.json of the pack .*(steps|draft_strength|noise_follow)"):
        GenerationConfig().for_pack(change_pack_defaults(small_pack, **values))


@pytest.mark.parametrize(
    "off", [{"background": "none"}, {"noise_prior": "independent"}, {"first_frame_attention": False}]
)
def test_what_needs_an_option_goes_with_it(small_pack, off):
    info = change_pack_defaults(
        small_pack,
        noise_prior="mixed",
        noise_follow=True,
        background="plate",
        background_paste=True,
        background_inpaint=0.6,
        appearance_anchor=0.5,
        timestep_range=[0.5, 1.0],
    )
    filled = GenerationConfig(**off).for_pack(info)
    assert GenerationConfig.model_validate_json(filled.model_dump_json()) == filled  # a record can be read again
    assert {name: getattr(filled, name) for name in off} == off and filled.timestep_range == (0.5, 1.0)


def test_options_that_read_masks_are_known(small_pack):
    assert set(WITHOUT_MASKS) <= set(LATER_FRAME_OPTIONS) <= set(GenerationConfig.model_fields)
    assert {name: getattr(GenerationConfig(), name) for name in WITHOUT_MASKS} == WITHOUT_MASKS


def test_every_shipped_pack_recommends(tiny_pack):
    assert (tiny_pack.info.generation.steps, tiny_pack.info.generation.guidance_scale) == (10, 2.5)
    assert tiny_pack.info.generation.first_frame_guidance == 1.5
    assert tiny_pack.info.generation.model_dump(exclude_none=True) == GENERATION
    measured = {**SETTINGS["H: E, guidance above 0.3 of the noise, draft until 0.8"], "background": "plate"}
    filled = GenerationConfig().for_pack(tiny_pack.info)
    assert {name: getattr(filled, name) for name in measured} == measured
    assert PACK_DESCRIPTIONS["sd15"]["generation"] == {"guidance_scale": 7.5, "first_frame_guidance": 7.5}


def test_first_frames_are_sampled_with_the_packs_guidance(recommending):
    masks = np.zeros((1, 64, 64), bool)
    masks[:, 16:48, 16:48] = True

    def run_with(**guidance: float) -> np.ndarray:
        config = QUICK.model_copy(update=guidance)
        return generate_first_frames(recommending, ["a horse"], masks, [0], config)

    assert np.array_equal(run_with(), run_with(first_frame_guidance=4.0))
    assert not np.array_equal(run_with(), run_with(first_frame_guidance=GENERIC_SAMPLING["first_frame_guidance"]))


def test_videos_are_made_with_it_and_say_so(recommending, tmp_path):
    torch.manual_seed(0)
    adapter = MotionMaskAdapter.for_unet(recommending.unet(), mask_width=4)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    adapter.save_pretrained(tmp_path / "adapter")
    MaskSequence(np.random.default_rng(0).random((3, 64, 64)) > 0.5).save(tmp_path / "m.npz")
    request = Request(name="v", motion="run", prompt="a horse", masks=tmp_path / "m.npz")

    def run_with(name: str, config: GenerationConfig) -> tuple[np.ndarray, dict]:
        first = first_frames(load_backend(recommending), [request], config, tmp_path / "first")
        out = generate(load_backend(recommending), tmp_path / "adapter", [request], first, config, tmp_path / name)
        return np.load(out / "v.npz")["frames"], json.loads((out / "v.json").read_text())["config"]

    by_pack, recorded = run_with("open", QUICK)
    assert (recorded["guidance_scale"], recorded["first_frame_guidance"]) == (3.0, 4.0)
    assert np.array_equal(by_pack, run_with("said", QUICK.model_copy(update={"guidance_scale": 3.0}))[0])
    assert not np.array_equal(by_pack, run_with("other", QUICK.model_copy(update={"guidance_scale": 7.5}))[0])


def test_the_pipeline_keeps_it_through_saving_and_in_windows(recommending, tmp_path):
    pipeline = build_pipeline(recommending, None, QUICK)
    pipeline.save_pretrained(tmp_path / "saved")
    reloaded = MaskVideoPipeline.from_pretrained(tmp_path / "saved")
    assert reloaded.config.default_guidance_scale == pipeline.config.default_guidance_scale == 3.0
    masks, picture = np.ones((6, 64, 64), bool), np.zeros((64, 64, 3), np.uint8)

    def run_with(config: GenerationConfig) -> np.ndarray:
        options = {**pipeline_options(config), "generator": torch.Generator().manual_seed(0)}
        return pipeline("a cat", masks[:3], picture, **options).frames

    explicit_config = QUICK.model_copy(update={"guidance_scale": 3.0})
    assert np.array_equal(run_with(QUICK), run_with(explicit_config))
    assert not np.array_equal(run_with(QUICK), run_with(QUICK.model_copy(update={"guidance_scale": 7.5})))
    long = [
        np.array(generate_long_video(pipeline, "a cat", masks, picture, config, 0, tmp_path / str(number)))
        for number, config in enumerate((QUICK, explicit_config))
    ]
    assert np.array_equal(*long)
