"""What the pipeline does for later frames besides denoising: nothing by default, and what each option says."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import fields

import numpy as np
import pytest
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.image_unet.frame_control import FrameControl
from mvmodel.backends.image_unet.later_frames import FrameLayout, FrameOptions, draw_control_pictures
from mvmodel.backends.image_unet.long_video import pipeline_options
from mvmodel.backends.image_unet.pipeline import MaskVideoPipeline
from mvmodel.backends.instances import Instance
from mvmodel.errors import InputError
from mvmodel.model.adapter import MotionMaskAdapter

HEIGHT, WIDTH = 48, 64
CONFIG = GenerationConfig(steps=2, guidance_scale=2.5)


@pytest.fixture
def pipeline(small_pack) -> MaskVideoPipeline:
    torch.manual_seed(0)
    built = build_pipeline(small_pack, None, CONFIG.model_copy(update={"control_frames": "every"}))
    for block in (*built.controlnet.controlnet_down_blocks, built.controlnet.controlnet_mid_block):
        torch.nn.init.normal_(block.weight, std=0.1)  # it begins at zero
    adapter = MotionMaskAdapter.for_unet(small_pack.unet(), mask_width=4).eval()
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    built.load_adapter(adapter, "own")
    return built


@pytest.fixture
def arguments():
    rng = np.random.default_rng(0)
    masks = np.zeros((4, HEIGHT, WIDTH), bool)
    for index in range(4):
        masks[index, 16:32, 8 + 8 * index : 24 + 8 * index] = True
    picture = np.repeat(np.repeat(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), 8, axis=0), 8, axis=1)
    return {"prompt": "a horse", "masks": masks, "first_frame": picture}


def run(pipeline, arguments, config=CONFIG, **options):
    generator = torch.Generator().manual_seed(0)
    return pipeline(**arguments, **{**pipeline_options(config), **options}, generator=generator).frames


NEUTRAL = [
    {"noise_prior": "mixed", "noise_share": 0.0},
    {"control_frames": "every", "controlnet_conditioning_scale": 0.0},
    {"control_frames": "every", "control_guidance_start": 0.9, "control_guidance_end": 1.0},
    {"background": "auto", "background_paste": True},
    {"draft_strength": 0.0, "draft_end": 1.0},
    {"draft_strength": 1.0, "draft_end": 0.0},
    {"appearance_anchor": 0.0},
    {"timestep_range": (0.0, 1.0)},
    {"guidance_interval": (0.0, 1.0)},
    {"guidance_interval": (0.01, 1.0)},
    {"background_inpaint": 1.0},
]


@pytest.mark.parametrize("options", NEUTRAL)
def test_neutral_values_change_no_bit(pipeline, arguments, options):
    assert np.array_equal(run(pipeline, arguments), run(pipeline, arguments, **options))


def test_options_are_the_settings_and_off_by_default():
    assert FrameOptions(**FrameOptions.arguments_from(GenerationConfig())) == FrameOptions()
    assert {option.name for option in fields(FrameOptions)} <= set(GenerationConfig.model_fields)
    with pytest.raises(TypeError, match="blackground"):
        FrameOptions(blackground="plate")  # type: ignore[call-arg]


ACTIVE = [
    {"noise_prior": "mixed"},
    {"noise_prior": "mixed", "noise_follow": True},
    {"control_frames": "every"},
    {"control_frames": "every", "control_branches": "all"},
    {"control_frames": "every", "control_guidance_end": 0.5},
    {"background": "plate"},
    {"background": "first"},
    {"background": "auto", "camera": (0.25, 0.0)},
    {"draft_strength": 0.7},
    {"guidance_rescale": 0.7},
    {"appearance_anchor": 0.7},
    {"timestep_range": (0.7, 1.0)},
    {"guidance_interval": (0.7, 1.0)},
    {"background": "plate", "background_inpaint": 1.0, "camera": (0.25, 0.0)},
]


@pytest.mark.parametrize("scheduler", ["dpm++", "euler"])
def test_every_option_changes_the_video_and_also_without_the_cache(small_pack, pipeline, arguments, scheduler):
    from mvmodel.backends.image_unet.schedulers import build_scheduler

    pipeline.scheduler = build_scheduler(small_pack, scheduler)
    base = run(pipeline, arguments, output_type="latent")
    videos = [run(pipeline, arguments, **options, output_type="latent") for options in ACTIVE]
    for options, video in zip(ACTIVE, videos, strict=True):
        assert video.isfinite().all() and (video - base)[:, 1:].abs().max() > 1e-5, options
        assert torch.equal(video[:, 0], base[:, 0])
    options = {"control_frames": "every", "background": "plate", "guidance_rescale": 0.5, "output_type": "latent"}
    options |= {"appearance_anchor": 0.5, "timestep_range": (0.7, 1.0), "guidance_interval": (0.5, 1.0)}
    slow = run(pipeline, arguments, **options, cache_first_frame=False)
    torch.testing.assert_close(run(pipeline, arguments, **options), slow, atol=1e-4, rtol=1e-4)


def test_branches_come_and_go_under_a_controlnet_on_all_of_them(pipeline, arguments):
    options = {"control_frames": "every", "control_branches": "all", "output_type": "latent"}
    levels = [float(t) / 1000 for t in pipeline.scheduler.timesteps]
    assert max(levels) > 0.5 and min(levels) < 0.5  # guidance ends in mid-video
    video = run(pipeline, arguments, **options, guidance_interval=(0.5, 1.0))
    assert video.isfinite().all() and (video - run(pipeline, arguments, **options))[:, 1:].abs().max() > 1e-4


@pytest.mark.parametrize("mask_guidance_scale", [None, 3.0])
def test_guidance_acts_in_its_interval_alone(pipeline, arguments, mask_guidance_scale):
    options = {"control_frames": "every", "mask_guidance_scale": mask_guidance_scale, "output_type": "latent"}
    rows = []
    hook = pipeline.unet.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    try:
        never = run(pipeline, arguments, **options, guidance_interval=(0.0, 0.01))  # no step is as clean
    finally:
        hook.remove()
    assert rows[-1] == 3  # three new frames in one branch
    unguided = {**options, "guidance_scale": 1.0, "mask_guidance_scale": None}
    torch.testing.assert_close(never, run(pipeline, arguments, **unguided), atol=1e-5, rtol=1e-5)
    assert (never - run(pipeline, arguments, **options))[:, 1:].abs().max() > 1e-4
    with pytest.raises(ValueError, match=r"guidance_interval.*is empty"):
        GenerationConfig(guidance_interval=(0.5, 0.5))


def test_adapters_act_in_their_timestep_range_alone(pipeline, arguments):
    video = run(pipeline, arguments, output_type="latent", timestep_range=(0.0, 0.01))  # no step is as clean
    same = run(pipeline, arguments, output_type="latent", timestep_range=(0.01, 1.0))  # every step is inside
    assert torch.equal(same, run(pipeline, arguments, output_type="latent"))
    untrained = MotionMaskAdapter.for_unet(pipeline.unet, mask_width=4).eval()  # first-frame attention alone
    pipeline.load_adapter(untrained, "untrained")
    pipeline.set_adapters("untrained")
    base = run(pipeline, arguments, output_type="latent")
    torch.testing.assert_close(video, base, atol=1e-5, rtol=1e-5)
    assert (same - base)[:, 1:].abs().max() > 1e-4
    with pytest.raises(ValueError, match="is empty"):
        GenerationConfig(timestep_range=(0.5, 0.5))


def test_the_background_is_frame_1s_where_both_show_it(pipeline, arguments):
    latents = run(pipeline, arguments, background="first", output_type="latent")
    free = slice(7, 8)  # the last column, which no object comes near
    base = run(pipeline, arguments, output_type="latent")
    distances = [(video[:, 1:] - video[:, :1])[..., free].abs().max() for video in (latents, base)]
    assert distances[0] < 0.1 * distances[1]


def test_what_frame_1_hides_is_its_inpainting(pipeline, arguments):
    arguments["first_frame"][:] = (40, 120, 200)
    arguments["first_frame"][arguments["masks"][0]] = (250, 20, 20)
    arguments["masks"][3] = False
    options = {"background": "plate", "camera": (0.5, 0.0), "output_type": "latent"}
    filled = run(pipeline, arguments, **options, background_inpaint=1.0)[0, 3]
    empty = np.full((1, HEIGHT, WIDTH, 3), (40, 120, 200), np.uint8)
    expected = pipeline.encode_frames(empty).to(filled)[0]
    torch.testing.assert_close(filled, expected, atol=0.05, rtol=0)
    assert (run(pipeline, arguments, **options)[0, 3] - expected).abs().max() > 0.1
    with pytest.raises(ValueError, match="background_inpaint completes"):
        GenerationConfig(background_inpaint=0.5)


def test_the_colour_fix_shows_frame_1_itself_and_corrects_the_rest(pipeline, arguments):
    fixed, base = (run(pipeline, arguments, color_fix=mode)[0] for mode in ("mean", "none"))
    assert np.array_equal((fixed[0] * 255).round(), arguments["first_frame"])
    tint = (arguments["first_frame"] / 255 - base[0])[~arguments["masks"][0]].mean(axis=0)
    np.testing.assert_allclose(fixed[1:], np.clip(base[1:] + tint, 0, 1), atol=1e-4)
    pasted = run(pipeline, arguments, background="first", background_paste=True)[0]
    np.testing.assert_allclose(pasted[:, :8, 56:] * 255, arguments["first_frame"][None, :8, 56:].repeat(4, 0), atol=1)


def test_control_acts_on_branches_that_see_the_mask_and_on_new_frames(pipeline, arguments):
    calls = []
    hook = pipeline.controlnet.register_forward_pre_hook(
        lambda module, passed, keywords: calls.append((len(passed[0]), keywords["controlnet_cond"].shape)),
        with_kwargs=True,
    )
    run(pipeline, arguments, control_frames="every")
    run(pipeline, arguments, control_frames="every", control_branches="all")
    run(pipeline, arguments, control_frames="every", control_guidance_start=0.5)
    run(pipeline, arguments, control_frames="every", mask_term=False)
    hook.remove()
    assert calls == [(rows, (rows, 3, HEIGHT, WIDTH)) for rows in (3, 3, 6, 6, 3)]


def test_control_pictures_are_embedded_once_a_video_and_change_no_bit(pipeline, arguments, monkeypatch):
    embedding, calls = pipeline.controlnet.controlnet_cond_embedding, list[int]()
    embedding.register_forward_hook(lambda *_: calls.append(1))
    video = run(pipeline, arguments, control_frames="every")
    assert len(calls) == 1 and pipeline.controlnet.controlnet_cond_embedding is embedding
    monkeypatch.setattr(FrameControl, "_cached_embedding", nullcontext)
    assert np.array_equal(run(pipeline, arguments, control_frames="every"), video)
    assert len(calls) == 1 + CONFIG.steps
    arguments["masks"] = np.roll(arguments["masks"], 8, axis=1)
    monkeypatch.undo()
    assert not np.array_equal(run(pipeline, arguments, control_frames="every"), video)


def test_control_pictures_are_those_of_frame_1_frame_by_frame(arguments):
    from mvmodel.backends.image_unet.control_pictures import draw_control_picture

    masks = torch.from_numpy(arguments["masks"])[None].float()
    for kind in ("mask", "scribble"):
        pictures = draw_control_pictures(FrameLayout(masks, context=1), kind, ["a horse"])
        assert pictures.shape == (1, 2, 3, HEIGHT, WIDTH)
        expected = draw_control_picture(arguments["masks"][3], kind, "a horse")
        np.testing.assert_array_equal((pictures[0, 1] * 255).permute(1, 2, 0).numpy().round(), expected)
    masks[:] = 1
    instances = [Instance("a horse", arguments["masks"]), Instance("a dog", ~arguments["masks"])]
    both = draw_control_pictures(FrameLayout(masks, instances=instances), "scribble", ["a horse and a dog"])
    assert both[0, 0].any(), "outlines of objects that touch are kept apart"


def test_without_a_controlnet_control_is_refused(small_pack, arguments):
    with pytest.raises(InputError, match="has no ControlNet for control_frames='every'"):
        run(build_pipeline(small_pack, None, CONFIG), arguments, control_frames="every")


def test_objects_have_drafts_and_noise_of_their_own(pipeline, arguments):
    other = np.roll(arguments["masks"], (12, 24), axis=(1, 2))
    instances = [Instance("a horse", arguments["masks"]), Instance("a dog", other)]
    inputs = {**arguments, "prompt": "a horse and a dog", "masks": None, "instances": instances}
    merged = {**inputs, "masks": arguments["masks"] | other, "instances": None}
    for options in ({"draft_strength": 1.0}, {"noise_prior": "mixed", "noise_follow": True, "noise_share": 1.0}):
        change = [run(pipeline, given, **options) - run(pipeline, given) for given in (inputs, merged)]
        assert np.abs(change[0] - change[1]).max() > 1e-3


def test_a_batch_of_videos_equals_them_one_by_one(pipeline, arguments):
    masks = np.stack([arguments["masks"], arguments["masks"][:, ::-1]])
    frames = np.stack([arguments["first_frame"], arguments["first_frame"][::-1]])
    options = {
        **pipeline_options(CONFIG),
        "background": "plate",
        "background_paste": True,
        "camera": (0.25, 0.0),
        "color_fix": "lowpass",
        "noise_prior": "mixed",
        "noise_follow": True,
        "draft_strength": 0.5,
        "control_frames": "every",
    }
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    batched = pipeline("a horse", masks, frames, **options, generator=generators).frames
    for row in range(2):
        generator = [torch.Generator().manual_seed(row + 1)]
        single = pipeline("a horse", masks[row], frames[row], **options, generator=generator).frames[0]
        np.testing.assert_allclose(batched[row], single, atol=1e-3)
    with pytest.raises(InputError, match=r"camera path has shape \(3,\)"):
        pipeline("a horse", masks[0], frames[0], **{**options, "camera": (1, 2, 3)})


def test_the_pipeline_with_a_controlnet_is_saved_and_loaded(pipeline, arguments, tmp_path):
    pipeline.delete_adapter("own")
    pipeline.save_pretrained(tmp_path)
    loaded = MaskVideoPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    videos = [run(pipe, arguments, control_frames="every") for pipe in (pipeline, loaded)]
    assert np.array_equal(*videos)


def test_without_the_mask_term_no_option_reads_the_masks(pipeline, arguments):
    options = {"control_frames": "every", "background": "first", "draft_strength": 1.0}
    options |= {"noise_prior": "mixed", "noise_follow": True}
    other = {**arguments, "masks": np.roll(arguments["masks"], 8, axis=1)}
    with_options = run(pipeline, arguments, mask_term=False, **options)
    assert np.array_equal(with_options, run(pipeline, other, mask_term=False, **options))
    assert not np.array_equal(run(pipeline, arguments, **options), run(pipeline, other, **options))
