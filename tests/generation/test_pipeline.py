"""`MaskVideoPipeline` on the small random pack, by diffusers' conventions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvmodel.errors import InputError
from mvmodel.generation.pipeline import MaskVideoPipeline
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
    slow = pipeline(**arguments, generator=seeded(), remember_first_frame=False).frames
    np.testing.assert_allclose(fast, slow, atol=1e-4)


def test_a_batch_equals_its_videos_one_by_one(pipeline, arguments):
    masks = np.stack([arguments["masks"], ~arguments["masks"]])
    frames = np.stack([arguments["first_frame"], arguments["first_frame"][::-1]])
    both = pipeline(["a horse", "a cat"], masks, frames, num_inference_steps=2, generator=[seeded(1), seeded(2)]).frames
    for row, prompt in enumerate(("a horse", "a cat")):
        alone = pipeline(prompt, masks[row], frames[row], num_inference_steps=2, generator=seeded(row + 1)).frames
        np.testing.assert_allclose(both[row], alone[0], atol=1e-4)


def test_mask_guidance_drops_the_mask_from_the_unconditional_branch(pipeline, arguments):
    with_guidance = pipeline(**arguments, generator=seeded(), guidance_scale=3.0).frames
    without = pipeline(**arguments, generator=seeded(), guidance_scale=3.0, mask_guidance=False).frames
    assert np.abs(with_guidance - without).max() > 1e-3
    plain = [
        pipeline(**arguments, generator=seeded(), guidance_scale=1.0, mask_guidance=m).frames for m in (True, False)
    ]
    assert np.array_equal(*plain), "without guidance there is no unconditional branch"


def test_save_and_load_round_trip(pipeline, arguments, tmp_path):
    pipeline.save_pretrained(tmp_path)
    again = MaskVideoPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert np.array_equal(
        pipeline(**arguments, generator=seeded()).frames, again(**arguments, generator=seeded()).frames
    )


def test_callback_sees_every_step_and_may_change_latents(pipeline, arguments):
    seen = []

    def zero(pipe, index, t, values):
        seen.append((index, values["latents"].shape))
        return {"latents": torch.zeros_like(values["latents"])}

    out = pipeline(**arguments, generator=seeded(), output_type="latent", callback_on_step_end=zero).frames
    assert seen == [(0, (1, 2, 4, 8, 8)), (1, (1, 2, 4, 8, 8))]
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
    with pytest.raises(InputError, match="1 prompts|for 1 prompts"):
        pipeline(**{**arguments, "masks": np.ones((2, 3, 64, 64), bool)})
    with pytest.raises(InputError, match="a mask sequence of one frame"):
        pipeline(**{**arguments, "masks": arguments["masks"][:1]})
    with pytest.raises(InputError, match="divisible by 16"):
        pipeline(**{**arguments, "masks": np.ones((3, 60, 64), bool)})
    with pytest.raises(InputError, match="the first frame is 32x64"):
        pipeline(**{**arguments, "first_frame": arguments["first_frame"][:, :32]})


def test_the_unet_is_left_as_it_was(pipeline, arguments):
    before = dict(pipeline.unet.attn_processors)
    pipeline(**arguments, generator=seeded())
    assert pipeline.unet.attn_processors == before
    assert not any(module._forward_hooks for module in pipeline.unet.modules())
