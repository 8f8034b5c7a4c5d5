"""Windows: what each is given, equality with one pass, resumption, flat memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.image_unet.long_video import Window, generate_long_video, pipeline_options, plan_windows
from mvmodel.backends.instances import Instance
from mvmodel.model.adapter import MotionMaskAdapter

QUICK = GenerationConfig(steps=2, window=5, overlap=2)

FRAME_OPTIONS = {
    "background": "plate",
    "background_paste": True,
    "camera": (0.3, 0.1),
    "color_fix": "lowpass",
    "noise_prior": "mixed",
    "noise_follow": True,
    "draft_strength": 0.5,
    "control_frames": "every",
    "guidance_rescale": 0.7,
    "appearance_anchor": 0.5,
}
"""Everything that is done for later frames, at once."""


@pytest.fixture
def pipeline(small_pack):
    torch.manual_seed(0)
    built = build_pipeline(small_pack, None, QUICK.model_copy(update={"control_frames": "every"}))
    adapter = MotionMaskAdapter.for_unet(small_pack.unet(), mask_width=4).eval()
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    built.load_adapter(adapter, "own")
    return built


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    return {
        "prompt": "a horse",
        "masks": rng.random((11, 64, 64)) > 0.5,
        "first_frame": rng.integers(0, 255, (64, 64, 3), dtype=np.uint8),
        "seed": 3,
    }


@pytest.mark.parametrize("frames", [2, 5, 6, 24, 200])
@pytest.mark.parametrize("anchor", ["video", "window"])
@pytest.mark.parametrize(("window", "overlap"), [(16, 4), (5, 2), (4, 1)])
def test_windows_make_every_frame_once_and_stay_small(frames, anchor, window, overlap):
    config = GenerationConfig(window=window, overlap=overlap, anchor=anchor)
    result = plan_windows(frames, config)
    assert [i for one in result for i in range(one.start, one.stop)] == list(range(1, frames))
    for one in result:
        assert len(one.frame_indices) <= window and one.frame_indices == sorted(set(one.frame_indices))
        assert one.anchor == (0 if anchor == "video" else one.frame_indices[0])
        assert one.start - one.frame_indices[1 if anchor == "video" else 0] <= max(overlap, 1)


def test_windows_of_a_short_example():
    assert plan_windows(9, QUICK) == [Window(0, 0, 1, 5), Window(0, 2, 5, 7), Window(0, 2, 7, 9)]
    changed = QUICK.model_copy(update={"anchor": "window"})
    assert plan_windows(9, changed) == [Window(0, 0, 1, 5), Window(3, 1, 5, 8), Window(6, 1, 8, 9)]


@pytest.mark.parametrize("reanchor", [1, 2, 3])
@pytest.mark.parametrize(("window", "overlap"), [(16, 4), (5, 2), (4, 1), (6, 4)])
def test_the_anchor_moves_on_after_so_many_windows(window, overlap, reanchor):
    config = GenerationConfig(window=window, overlap=overlap, reanchor=reanchor)
    result = plan_windows(100, config)
    assert [i for one in result for i in range(one.start, one.stop)] == list(range(1, 100))
    for number, one in enumerate(result):
        assert len(one.frame_indices) <= window and one.frame_indices == sorted(set(one.frame_indices))
        anchored = result[number // reanchor * reanchor]  # the window in which this anchor was taken
        assert one.anchor == anchored.anchor and one.anchor < one.start - one.context
        assert one.anchor == 0 if number < reanchor else anchored.start - overlap <= one.anchor < anchored.start
    by_window = plan_windows(100, config.model_copy(update={"anchor": "window", "reanchor": 0}))
    assert reanchor != 1 or result == by_window


def test_a_video_of_one_window_is_the_single_pass(pipeline, inputs, tmp_path):
    """With the noise that the window draws, handed to the pipeline."""
    short = {**inputs, "masks": inputs["masks"][:5]}
    result = generate_long_video(pipeline, **short, config=QUICK, folder=tmp_path)
    starting_latents: list[torch.Tensor] = []
    original = pipeline.prepare_latents

    def spy(*args, **keywords):
        starting_latents.append(args[-1])
        return original(*args, **keywords)

    pipeline.prepare_latents = spy
    repeated = generate_long_video(pipeline, **short, config=QUICK, folder=tmp_path / "b")
    assert np.array_equal(result, repeated)
    pipeline.prepare_latents = original
    unbroken = pipeline(
        "a horse", short["masks"], short["first_frame"], latents=starting_latents[0], **pipeline_options(QUICK)
    ).frames[0]
    assert np.abs(result[1:].astype(int) - (unbroken[1:] * 255).round()).max() <= 1
    assert np.array_equal(result[0], short["first_frame"])


@pytest.mark.parametrize(
    ("change", "killed_at", "expected_calls"),
    [
        ({}, 7, [(9, 11), (11, 11)]),
        ({"reanchor": 2}, 10, [(11, 11)]),  # the moved anchor is no longer among the last frames
        ({"match_background": 0.5}, 7, [(9, 11), (11, 11)]),
        (FRAME_OPTIONS, 7, [(9, 11), (11, 11)]),
    ],
)
def test_killed_in_the_middle_and_gone_on_with_gives_the_same_bytes(
    pipeline, inputs, tmp_path, change, killed_at, expected_calls
):
    config = QUICK.model_copy(update=change)
    inputs["masks"][:, :, 40:] = False  # background, in whole latent cells
    unbroken = np.array(generate_long_video(pipeline, **inputs, config=config, folder=tmp_path / "whole"))
    progress_calls: list[tuple[int, int]] = []

    def kill(frames_done: int, of: int) -> None:
        progress_calls.append((frames_done, of))
        if frames_done == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_long_video(pipeline, **inputs, config=config, folder=tmp_path / "cut", progress=kill)
    progress_calls.clear()
    resumed = generate_long_video(
        pipeline, **inputs, config=config, folder=tmp_path / "cut", progress=lambda *p: progress_calls.append(p)
    )
    assert progress_calls == expected_calls
    assert np.array_equal(resumed, unbroken)
    changed = {**inputs, "seed": 4}
    assert not np.array_equal(
        generate_long_video(pipeline, **changed, config=config, folder=tmp_path / "cut"), unbroken
    )


@pytest.mark.parametrize(
    "change",
    [
        {"anchor": "window"},
        {"reanchor": 1},
        {"match_background": 1.0},
        {"context_noise": 0.3},
        {"positions": "video"},
        {"overlap": 1},
        {"noise_sharing": "noise"},
    ],
)
def test_every_option_changes_the_video(pipeline, inputs, tmp_path, change):
    base = generate_long_video(pipeline, **inputs, config=QUICK, folder=tmp_path / "plain")
    changed = generate_long_video(pipeline, **inputs, config=QUICK.model_copy(update=change), folder=tmp_path / "other")
    assert changed.shape == base.shape and not np.array_equal(changed[5:], base[5:])
    assert np.isfinite(changed).all() and changed[5:].std() > 0


@pytest.mark.parametrize("change", [{}, {"anchor": "window"}, {"reanchor": 2}])
def test_every_window_is_given_the_latents_of_its_anchor_and_context(pipeline, inputs, tmp_path, monkeypatch, change):
    from mvmodel.backends.image_unet import long_video as module

    result = {0: pipeline.encode_frames(inputs["first_frame"][None])}
    original, anchors = module._generate_window, []

    def spy(pipe, window, *args):
        anchor, context = args[4], args[5]
        assert torch.equal(anchor, result[window.anchor])
        for index, frame in enumerate(range(window.start - window.context, window.start)):
            assert torch.equal(context[:, index], result[frame])
        out, plate = original(pipe, window, *args)
        result.update({window.start + index: out[:, index] for index in range(out.shape[1])})
        anchors.append(window.anchor)
        return out, plate

    monkeypatch.setattr(module, "_generate_window", spy)
    config = QUICK.model_copy(update=change)
    generate_long_video(pipeline, **inputs, config=config, folder=tmp_path)
    assert sorted(result) == list(range(11)) and (len(set(anchors)) > 1) == bool(change)


def test_reanchoring_every_window_is_the_anchor_of_the_window(pipeline, inputs, tmp_path):
    reanchored, windowed = (QUICK.model_copy(update=change) for change in ({"reanchor": 1}, {"anchor": "window"}))
    result = np.array(generate_long_video(pipeline, **inputs, config=reanchored, folder=tmp_path / "a"))
    assert np.array_equal(result, generate_long_video(pipeline, **inputs, config=windowed, folder=tmp_path / "b"))


def test_the_plate_of_a_later_window_knows_what_earlier_windows_showed(pipeline, inputs, tmp_path, monkeypatch):
    """An object covers the left in frame 1 and in the last window; what windows between showed is remembered."""
    from mvmodel.backends.image_unet import long_video as module

    masks = np.zeros((11, 64, 64), bool)
    masks[:, :, 40:] = True
    masks[[0, *range(8, 11)], :, :24] = True
    original, weights = module._generate_window, []

    def spy(pipe, window, *args):
        out, plate = original(pipe, window, *args)
        weights.append((window.start, float(plate.weights[..., :1].sum()), plate.sums.shape[-1]))
        return out, plate

    monkeypatch.setattr(module, "_generate_window", spy)
    config = QUICK.model_copy(update={"background": "plate", "camera": (0.5, 0.0)})
    generate_long_video(pipeline, **{**inputs, "masks": masks}, config=config, folder=tmp_path)
    assert weights[0][1] > 0 and weights[-1][1] >= weights[0][1], "it was seen before, and is not forgotten"
    assert {width for _, _, width in weights} == {8 + 4}, "the field covers the way of the camera"


def test_instances_are_cut_to_their_windows(pipeline, inputs, tmp_path):
    instances = [Instance("a horse", inputs["masks"])]
    result = generate_long_video(pipeline, **inputs, config=QUICK, folder=tmp_path / "a", instances=instances)
    assert np.array_equal(result, generate_long_video(pipeline, **inputs, config=QUICK, folder=tmp_path / "b"))


def test_the_unet_never_sees_more_than_a_window(pipeline, inputs, tmp_path):
    batch_sizes: list[int] = []
    hook = pipeline.unet.register_forward_pre_hook(lambda module, args: batch_sizes.append(len(args[0])))
    generate_long_video(pipeline, **inputs, config=QUICK, folder=tmp_path)
    hook.remove()
    assert max(batch_sizes) <= 2 * (QUICK.window - 1)
