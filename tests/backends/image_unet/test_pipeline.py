"""`MaskVideoPipeline` on the small random pack, by diffusers' conventions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvmodel.backends.image_unet.guidance import guidance_branches
from mvmodel.backends.image_unet.pipeline import MaskVideoPipeline
from mvmodel.backends.image_unet.schedulers import build_scheduler
from mvmodel.backends.instances import Instance
from mvmodel.errors import InputError, PackError
from mvmodel.model.adapter import MotionMaskAdapter


@pytest.fixture
def pipeline(small_pack) -> MaskVideoPipeline:
    torch.manual_seed(0)
    adapter = MotionMaskAdapter.for_unet(small_pack.unet(), mask_width=4).eval()
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    pipe = MaskVideoPipeline(
        vae=small_pack.vae(),
        text_encoder=small_pack.text_encoder(),
        tokenizer=small_pack.tokenizer(),
        unet=small_pack.unet(),
        scheduler=small_pack.scheduler(),
        adapter=adapter,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def arguments():
    rng = np.random.default_rng(0)
    return {
        "prompt": "a horse",
        "masks": rng.random((3, 64, 64)) > 0.5,
        "first_frame": rng.integers(0, 255, (64, 64, 3), dtype=np.uint8),
        "num_inference_steps": 2,
    }


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_same_seed_same_video_and_masks_matter(pipeline, arguments):
    one = pipeline(**arguments, generator=seeded()).frames
    assert one.shape == (1, 3, 64, 64, 3) and one.min() >= 0 and one.max() <= 1
    assert np.array_equal(one, pipeline(**arguments, generator=seeded()).frames)
    assert not np.array_equal(one, pipeline(**arguments, generator=seeded(1)).frames)
    without = pipeline(**arguments, generator=seeded(), mask_term=False).frames
    assert np.abs(one[:, 1:] - without[:, 1:]).max() > 1e-3


def test_remembering_frame_one_changes_nothing(pipeline, arguments):
    fast = pipeline(**arguments, generator=seeded()).frames
    slow = pipeline(**arguments, generator=seeded(), cache_first_frame=False).frames
    np.testing.assert_allclose(fast, slow, atol=1e-4)


def test_a_batch_equals_its_videos_one_by_one(pipeline, arguments):
    masks = np.stack([arguments["masks"], ~arguments["masks"]])
    frames = np.stack([arguments["first_frame"], arguments["first_frame"][::-1]])
    batched = pipeline(
        ["a horse", "a cat"], masks, frames, num_inference_steps=2, generator=[seeded(1), seeded(2)]
    ).frames
    for row, prompt in enumerate(("a horse", "a cat")):
        single = pipeline(prompt, masks[row], frames[row], num_inference_steps=2, generator=seeded(row + 1)).frames
        np.testing.assert_allclose(batched[row], single[0], atol=1e-4)


def test_one_prompt_first_frame_or_mask_sequence_is_shared_by_the_batch(pipeline, arguments):
    frames = np.stack([arguments["first_frame"], arguments["first_frame"][::-1]])
    masks = np.stack([arguments["masks"], ~arguments["masks"]])
    full = {"prompt": ["a horse"] * 2, "masks": np.stack([arguments["masks"]] * 2), "first_frame": frames}
    for change in (
        {"prompt": ["a horse", "a cat"]},
        {"first_frame": frames},
        {"masks": masks},
        {"first_frame": frames, "instances": [Instance("a horse", arguments["masks"])]},
    ):
        shared = {**arguments, **change}
        batched = pipeline(**shared, generator=[seeded(1), seeded(2)]).frames
        for row in range(2):
            prompts, first, own = (shared["prompt"], shared["first_frame"], np.asarray(shared["masks"]))
            single = pipeline(
                prompts if isinstance(prompts, str) else prompts[row],
                own if own.ndim == 3 else own[row],
                first if first.ndim == 3 else first[row],
                num_inference_steps=2,
                generator=seeded(row + 1),
            ).frames
            np.testing.assert_allclose(batched[row], single[0], atol=1e-4)
    assert len(pipeline(**{**arguments, **full}, generator=seeded()).frames) == 2


def test_no_negative_prompt_is_an_empty_one(pipeline, arguments):
    base = pipeline(**arguments, generator=seeded()).frames
    assert np.array_equal(base, pipeline(**arguments, negative_prompt=None, generator=seeded()).frames)


def test_mask_guidance_drops_the_mask_from_the_unconditional_branch(pipeline, arguments):
    with_guidance = pipeline(**arguments, generator=seeded(), guidance_scale=3.0).frames
    without = pipeline(**arguments, generator=seeded(), guidance_scale=3.0, mask_guidance=False).frames
    assert np.abs(with_guidance - without).max() > 1e-3
    base = [
        pipeline(**arguments, generator=seeded(), guidance_scale=1.0, mask_guidance=m).frames for m in (True, False)
    ]
    assert np.array_equal(*base), "without guidance there is no unconditional branch"


def test_save_and_load_round_trip(pipeline, arguments, tmp_path):
    pipeline.save_pretrained(tmp_path)
    reloaded = MaskVideoPipeline.from_pretrained(tmp_path)
    reloaded.set_progress_bar_config(disable=True)
    assert np.array_equal(
        pipeline(**arguments, generator=seeded()).frames, reloaded(**arguments, generator=seeded()).frames
    )


def test_callback_sees_every_step_and_may_change_latents(pipeline, arguments):
    callback_values = []

    def zero(pipe, index, t, values):
        callback_values.append((index, values["latents"].shape))
        return {"latents": torch.zeros_like(values["latents"])}

    out = pipeline(**arguments, generator=seeded(), output_type="latent", callback_on_step_end=zero).frames
    assert callback_values == [(0, (1, 2, 4, 8, 8)), (1, (1, 2, 4, 8, 8))]
    assert out[:, 1:].abs().max() == 0 and out[:, 0].abs().max() > 0


@pytest.mark.parametrize("kind", ["pil", "pt", "np", "latent"])
def test_output_types(pipeline, arguments, kind):
    frames = pipeline(**arguments, generator=seeded(), output_type=kind, return_dict=False)[0]
    if kind == "pil":
        assert len(frames) == 1 and len(frames[0]) == 3 and frames[0][0].size == (64, 64)
    else:
        shape = {"pt": (1, 3, 3, 64, 64), "np": (1, 3, 64, 64, 3), "latent": (1, 3, 4, 8, 8)}[kind]
        assert tuple(frames.shape) == shape


def test_inputs_that_do_not_fit_are_refused(pipeline, arguments):
    with pytest.raises(InputError, match="there are 2 prompts, 1 first frames, 3 mask sequences; give as many of each"):
        pipeline(**{**arguments, "prompt": ["a", "b"], "masks": np.ones((3, 3, 64, 64), bool)})
    with pytest.raises(InputError, match="there are 0 prompts"):
        pipeline(**{**arguments, "prompt": None})
    with pytest.raises(InputError, match="2 generators for 1 videos"):
        pipeline(**arguments, generator=[seeded(), seeded()])
    with pytest.raises(InputError, match="a mask sequence of one frame"):
        pipeline(**{**arguments, "masks": arguments["masks"][:1]})
    with pytest.raises(InputError, match="divisible by 16"):
        pipeline(**{**arguments, "masks": np.ones((3, 60, 64), bool)})
    with pytest.raises(InputError, match="the first frame is 32x64"):
        pipeline(**{**arguments, "first_frame": arguments["first_frame"][:, :32]})


def randomised(unet, seed: int, **options) -> MotionMaskAdapter:
    torch.manual_seed(seed)
    adapter = MotionMaskAdapter.for_unet(unet, **options).eval()
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return adapter


def test_adapters_are_loaded_switched_scaled_and_refused(pipeline, arguments, small_pack, tmp_path):
    def run() -> np.ndarray:
        return pipeline(**arguments, generator=seeded()).frames

    single = run()
    randomised(small_pack.unet(), 5, mask_encoder="linear").save_pretrained(tmp_path / "other")
    pipeline.load_adapter(tmp_path / "other", "other")
    assert pipeline.get_active_adapters() == {"default": 1.0, "other": 1.0}
    batched = run()
    pipeline.set_adapters("other")
    assert all(np.abs(a - b).max() > 1e-3 for a, b in ((batched, single), (run(), single), (run(), batched)))
    pipeline.set_adapters(["default", "other"], [1.0, 0.0])
    assert np.array_equal(run(), single)
    pipeline.set_adapters("default", 0.0)
    base = run()
    pipeline.set_adapters("default")
    assert np.array_equal(pipeline(**arguments, generator=seeded(), adapter_scale=0.0).frames, base)
    bare = MaskVideoPipeline(**{**pipeline.components, "adapter": None})
    bare.set_progress_bar_config(disable=True)
    assert np.array_equal(bare(**arguments, generator=seeded()).frames, base), "scale 0 is the base model"
    with pytest.raises(InputError, match="already loaded as 'other'"):
        pipeline.load_adapter(tmp_path / "other", "other")
    pipeline.delete_adapter("other")
    with pytest.raises(InputError, match="of those loaded: default"):
        pipeline.set_adapters("other")
    with pytest.raises(InputError, match="no adapter was loaded as 'other'"):
        pipeline.delete_adapter("other")
    from diffusers import UNet2DConditionModel

    wider = UNet2DConditionModel.from_config({**small_pack.unet().config, "cross_attention_dim": 40})
    with pytest.raises(PackError, match=r"text width 40, this one has .* text width 32"):
        pipeline.load_adapter(MotionMaskAdapter.for_unet(wider), "wider")


@pytest.mark.parametrize(
    ("passed", "rows"),
    [
        ((1.0, True, None), {(True, True): 1}),
        ((3.0, True, None), {(False, False): -2, (True, True): 3}),
        ((3.0, False, None), {(False, True): -2, (True, True): 3}),
        ((3.0, True, 3.0), {(False, False): -2, (True, True): 3}),
        ((3.0, True, 5.0), {(False, False): -2, (True, False): -2, (True, True): 5}),
        ((1.0, True, 2.0), {(True, False): -1, (True, True): 2}),
        ((3.0, True, None, False), {(False, False): -2, (True, False): 3}),
    ],
)
def test_branches_of_guidance(passed, rows):
    branches = guidance_branches(*passed)
    assert dict(zip(zip(branches.prompted, branches.masked, strict=True), branches.weights, strict=True)) == rows
    assert sum(branches.weights) == 1


def test_mask_guidance_of_its_own_scale(pipeline, arguments):
    def run(**options) -> np.ndarray:
        return pipeline(**arguments, generator=seeded(), guidance_scale=2.0, **options).frames

    np.testing.assert_array_equal(run(mask_guidance_scale=2.0), run())
    assert np.abs(run(mask_guidance_scale=4.0) - run()).max() > 1e-3
    np.testing.assert_allclose(run(mask_guidance_scale=0.0), run(mask_term=False), atol=1e-5)


def test_prompt_embeddings_and_negative_prompts_may_be_given(pipeline, arguments):
    words = {name: value for name, value in arguments.items() if name != "prompt"}
    positive, negative = pipeline.encode_prompt("a horse", "blurred")
    by_words = pipeline(**arguments, negative_prompt="blurred", generator=seeded()).frames
    passed = pipeline(**words, prompt_embeds=positive, negative_prompt_embeds=negative, generator=seeded()).frames
    assert np.array_equal(by_words, passed)
    assert np.array_equal(by_words, pipeline(**arguments, negative_prompt=["blurred"], generator=seeded()).frames)
    with pytest.raises(InputError, match="2 negative prompts for 1 prompts"):
        pipeline(**arguments, negative_prompt=["a", "b"])


def test_given_latents_take_the_place_of_drawn_ones(pipeline, arguments):
    latents = torch.randn(1, 2, 4, 8, 8, generator=seeded())
    one = pipeline(**arguments, latents=latents, generator=seeded(1)).frames
    assert np.array_equal(one, pipeline(**arguments, latents=latents, generator=seeded(2)).frames)


def test_callback_may_change_the_prompt_and_stop_the_run(pipeline, arguments):
    embeds = pipeline.encode_prompt("a cat")[0]

    def to_cat(pipe, index, t, values):
        assert set(values) == {"prompt_embeds"}
        return {"prompt_embeds": embeds}

    def stop(pipe, index, t, values):
        pipe._interrupt = True
        return {}

    base = pipeline(**arguments, generator=seeded()).frames
    options = {"callback_on_step_end": to_cat, "callback_on_step_end_tensor_inputs": ["prompt_embeds"]}
    assert np.abs(pipeline(**arguments, generator=seeded(), **options).frames - base).max() > 1e-4
    slow = pipeline(**arguments, generator=seeded(), cache_first_frame=False, **options).frames
    np.testing.assert_allclose(pipeline(**arguments, generator=seeded(), **options).frames, slow, atol=1e-4)
    stopped = pipeline(**arguments, generator=seeded(), callback_on_step_end=stop).frames
    assert np.abs(stopped - base).max() > 1e-4
    with pytest.raises(InputError, match="callbacks get latents, prompt_embeds"):
        pipeline(**arguments, callback_on_step_end=stop, callback_on_step_end_tensor_inputs=["noise"])


@pytest.mark.parametrize("name", ["ddim", "dpm++", "euler"])
def test_callbacks_see_what_each_step_predicts_of_the_finished_video(pipeline, arguments, name, small_pack):
    """The last step's prediction is the result; asking for it changes nothing."""
    pipeline.scheduler = build_scheduler(small_pack, name)
    base = pipeline(**arguments, generator=seeded(), output_type="latent").frames
    predictions = []

    def remember(pipe, index, t, values):
        predictions.append(values["clean_latents"])
        return {}

    options = {"callback_on_step_end": remember, "callback_on_step_end_tensor_inputs": ["latents", "clean_latents"]}
    watched = pipeline(**arguments, generator=seeded(), output_type="latent", **options).frames
    assert torch.equal(watched, base)
    distances = [float((clean - base[:, 1:]).abs().mean()) for clean in predictions]
    assert distances[-1] == min(distances) and distances[-1] < 0.05


def test_model_offload_and_slicing_give_the_same_video(pipeline, arguments):
    base = pipeline(**arguments, generator=seeded()).frames
    sliced = pipeline(**arguments, generator=seeded(), decode_chunk_size=1).frames
    np.testing.assert_allclose(base, sliced, atol=1e-5)
    pipeline.vae.enable_slicing()
    pipeline.enable_model_cpu_offload(device="cpu")
    assert hasattr(pipeline.unet, "_hf_hook") and not hasattr(pipeline.adapter, "_hf_hook")
    np.testing.assert_allclose(base, pipeline(**arguments, generator=seeded()).frames, atol=1e-5)


def test_first_frame_attention_can_be_switched_off(pipeline, arguments):
    base = pipeline(**arguments, generator=seeded()).frames
    off = pipeline(**arguments, generator=seeded(), first_frame_attention=False).frames
    assert np.abs(off[:, 1:] - base[:, 1:]).max() > 1e-3


def test_context_frames_are_read_and_their_place_in_time_counts(pipeline, arguments):
    masks = np.random.default_rng(1).random((5, 64, 64)) > 0.5
    inputs = {**arguments, "masks": masks}
    latents = torch.randn(1, 2, 4, 8, 8, generator=seeded())

    def run(context: torch.Tensor, **options) -> torch.Tensor:
        options = {"latents": latents, "context_latents": context, "output_type": "latent", **options}
        return pipeline(**inputs, generator=seeded(), **options).frames[:, 1:]

    context = torch.randn(1, 2, 4, 8, 8, generator=seeded(7))
    assert run(context).shape == (1, 2, 4, 8, 8)
    assert (run(context) - run(-context)).abs().max() > 1e-3
    assert (run(context) - run(context, first_index=9)).abs().max() > 1e-4


def test_every_call_has_the_noise_level_and_the_place_in_time_of_its_frames(pipeline, arguments):
    calls: list[tuple[list[int], int, int]] = []

    def spy(unet, passed, keywords):
        context = keywords["cross_attention_kwargs"]["context"]
        calls.append((sorted(set(passed[1].tolist())), context.frames, context.first_index))

    hook = pipeline.unet.register_forward_pre_hook(spy, with_kwargs=True)
    inputs = {**arguments, "masks": np.ones((6, 64, 64), bool)}
    context = torch.randn(1, 2, 4, 8, 8, generator=seeded())
    pipeline(**inputs, context_latents=context, context_timestep=300, first_index=9, generator=seeded())
    hook.remove()
    first, before, *steps = calls
    assert first == ([0], 1, 0) and before == ([300], 2, 9)
    assert [call[1:] for call in steps] == [(3, 11)] * 2
    assert [call[0] for call in steps] == [[int(t)] for t in pipeline.scheduler.timesteps]


def test_the_unet_is_left_as_it_was(pipeline, arguments):
    before = dict(pipeline.unet.attn_processors)
    pipeline(**arguments, generator=seeded())
    assert pipeline.unet.attn_processors == before
    assert not any(module._forward_hooks for module in pipeline.unet.modules())


class TestInstances:
    @pytest.fixture
    def two(self):
        masks = np.zeros((2, 3, 64, 64), bool)
        masks[0, :, :, :32] = True
        masks[1, :, 16:48, 40:60] = True
        return masks

    def test_one_instance_over_all_words_is_equation_7(self, pipeline, arguments):
        base = pipeline(**arguments, generator=seeded()).frames
        instance = Instance("a horse", arguments["masks"])
        assert np.array_equal(base, pipeline(**arguments, instances=[instance], generator=seeded()).frames)

    def test_one_instance_is_equation_7_whatever_its_words(self, pipeline, arguments):
        passed = {**arguments, "prompt": "a dog in the snow"}
        base = pipeline(**passed, generator=seeded()).frames
        instance = Instance("a dog", arguments["masks"])
        assert np.array_equal(base, pipeline(**passed, instances=[instance], generator=seeded()).frames)
        single = pipeline(**passed, instances=[instance], unbound_words="none", generator=seeded()).frames
        assert np.abs(single - base).max() > 1e-3

    def test_identities_matter_and_copies_are_one_term(self, pipeline, arguments, two):
        def run(*instances: Instance, unbound_words: str = "union") -> np.ndarray:
            passed = {**arguments, "prompt": "a dog and a red ball", "masks": None}
            return pipeline(**passed, instances=instances, unbound_words=unbound_words, generator=seeded()).frames

        one = run(Instance("a dog", two[0]), Instance("a red ball", two[1]))
        swapped = run(Instance("a dog", two[1]), Instance("a red ball", two[0]))
        assert np.abs(one - swapped).max() > 1e-3
        none = run(Instance("a dog", two[0]), Instance("a red ball", two[1]), unbound_words="none")
        assert np.abs(one - none).max() > 1e-3
        same = run(Instance("a dog", two[0]), Instance("a red ball", two[0]))
        np.testing.assert_allclose(same, run(Instance("a dog", two[0])), atol=1e-4)
        copies = run(Instance("A dog", two[0]), Instance("a  dog", two[1]))
        assert np.array_equal(copies, run(Instance("a dog", two[0] | two[1])))

    def test_words_that_the_prompt_lacks_and_sizes_that_differ_are_refused(self, pipeline, arguments, two):
        with pytest.raises(InputError, match="'a horse' does not contain 'a cat'"):
            pipeline(**arguments, instances=[Instance("a cat", two[0])])
        with pytest.raises(InputError, match="differ in size"):
            pipeline(**{**arguments, "masks": None}, instances=[Instance("a", two[0]), Instance("horse", two[1][:2])])
        with pytest.raises(InputError, match="give a single prompt"):
            pipeline(**{**arguments, "prompt": ["a horse"]}, instances=[Instance("a horse", two[0])])
        with pytest.raises(InputError, match="there is no mask"):
            pipeline(**{**arguments, "masks": None})
        with pytest.raises(InputError, match="give a bool array"):
            Instance("a", np.ones((3, 4, 4)))
