"""The adapter as a whole on a real UNet2DConditionModel."""

from __future__ import annotations

import pytest
import torch

from mvmodel.errors import InputError, PackError
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapter, attach_adapters
from mvmodel.model.context import DEFAULT, FrameContext
from tests.model.conftest import small_unet

CLIPS, FRAMES = 2, 3


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(3)
    sample = torch.randn(CLIPS * FRAMES, 4, 8, 8, generator=generator)
    text = torch.randn(CLIPS, 5, 24, generator=generator).repeat_interleave(FRAMES, dim=0)
    masks = (torch.rand(CLIPS * FRAMES, 64, 64, generator=generator) > 0.6).float()
    t = torch.tensor([0, 700, 700] * CLIPS)
    return sample, t, text, masks


def call(unet, adapter, inputs, scale=1.0, masks=True):
    sample, t, text, mask_batch = inputs
    terms = {DEFAULT: (adapter.mask_term(mask_batch),)} if masks else {}
    with attach_adapter(unet, adapter, scale):
        return unet(sample, t, text, cross_attention_kwargs={"context": FrameContext(FRAMES, terms)}).sample


def test_fresh_adapter_changes_nothing_but_where_keys_come_from(unet, fresh, inputs):
    with torch.no_grad():
        out = call(unet, fresh, inputs)
        base_output = unet(*inputs[:3]).sample
        with attach_adapters(unet, {DEFAULT: (fresh, 1.0)}, first_frame_attention=False):
            own_keys = unet(*inputs[:3], cross_attention_kwargs={"context": FrameContext(FRAMES)}).sample
    torch.testing.assert_close(out[0::FRAMES], base_output[0::FRAMES], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(own_keys, base_output, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(out[1::FRAMES], base_output[1::FRAMES], atol=1e-3)


def test_scale_zero_is_the_base_model_exactly(unet, trained, inputs):
    with torch.no_grad():
        assert torch.equal(call(unet, trained, inputs, scale=0.0), unet(*inputs[:3]).sample)


def test_adapters_side_by_side_are_scaled_and_added(unet, trained, inputs):
    """Half and half of the same adapter is the adapter; one at 0 is not there."""
    sample, t, text, mask_batch = inputs
    term = (trained.mask_term(mask_batch),)
    torch.manual_seed(9)
    another = MotionMaskAdapter.for_unet(unet, mask_encoder="linear")
    for parameter in another.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    terms = {"a": term, "b": term, "c": (another.mask_term(mask_batch),)}

    def run(**adapters):
        with torch.no_grad(), attach_adapters(unet, adapters):
            return unet(sample, t, text, cross_attention_kwargs={"context": FrameContext(FRAMES, terms)}).sample

    base_output = run(a=(trained, 1.0))
    assert torch.equal(base_output, run(a=(trained, 1.0), c=(another, 0.0)))
    assert (run(a=(trained, 1.0), c=(another, 1.0)) - base_output).abs().max() > 1e-3
    assert (run(a=(trained, 0.5)) - base_output).abs().max() > 1e-3
    for module in trained.temporal.values():
        torch.nn.init.zeros_(module.to_out.weight)  # applied one after the other, so two halves differ a little
    torch.testing.assert_close(run(a=(trained, 0.5), b=(trained, 0.5)), run(a=(trained, 1.0)), atol=1e-4, rtol=1e-4)


def test_one_frame_clips_equal_the_base_model(unet, fresh, inputs):
    sample, t, text, masks = inputs
    with torch.no_grad(), attach_adapter(unet, fresh):
        context = FrameContext(1, {DEFAULT: (fresh.mask_term(masks),)})
        out = unet(sample, t, text, cross_attention_kwargs={"context": context}).sample
    with torch.no_grad():
        torch.testing.assert_close(out, unet(sample, t, text).sample, atol=1e-5, rtol=1e-5)


def test_mask_batchchange_the_output_once_trained(unet, trained, inputs):
    with torch.no_grad():
        with_masks = call(unet, trained, inputs)
        without = call(unet, trained, inputs, masks=False)
        shifted_inputs = (*inputs[:3], inputs[3].roll(16, dims=2))
        assert (with_masks - without).abs().max() > 1e-3
        assert (with_masks - call(unet, trained, shifted_inputs)).abs().max() > 1e-3


def test_no_path_from_later_frames_into_frame_one(unet, trained, inputs):
    sample, t, text, masks = inputs
    another = sample.clone()
    another.view(CLIPS, FRAMES, 4, 8, 8)[:, 1:] += 1
    with torch.no_grad():
        before = call(unet, trained, inputs).unflatten(0, (CLIPS, FRAMES))
        after = call(unet, trained, (another, t, text, masks)).unflatten(0, (CLIPS, FRAMES))
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1:], after[:, 1:], atol=1e-3)


def test_cached_first_frame_equals_the_whole_clip(unet, trained, inputs):
    sample, _, text, masks = inputs
    clips, covers = sample.unflatten(0, (CLIPS, FRAMES)), masks.unflatten(0, (CLIPS, FRAMES))
    with torch.no_grad():
        full_output = call(unet, trained, inputs).unflatten(0, (CLIPS, FRAMES))
        with attach_adapter(unet, trained):
            kv_cache: dict = {}
            first = FrameContext(1, {DEFAULT: (trained.mask_term(covers[:, 0]),)}, cache_out=kv_cache)
            unet(clips[:, 0], torch.zeros(CLIPS).long(), text[::FRAMES], cross_attention_kwargs={"context": first})
            later = FrameContext(
                2, {DEFAULT: (trained.mask_term(covers[:, 1:].flatten(0, 1)),)}, kv_cache, first_index=1
            )
            out = unet(
                clips[:, 1:].flatten(0, 1),
                torch.full((CLIPS * 2,), 700),
                text.unflatten(0, (CLIPS, FRAMES))[:, 1:].flatten(0, 1),
                cross_attention_kwargs={"context": later},
            ).sample.unflatten(0, (CLIPS, 2))
    torch.testing.assert_close(out, full_output[:, 1:], atol=1e-5, rtol=1e-5)


def test_gradients_with_and_without_checkpointing_agree(unet, trained, inputs):
    gradients, blocks = [], 0
    for checkpointing in (False, True):
        unet.train()
        if checkpointing:
            unet.enable_gradient_checkpointing()
            trained.enable_gradient_checkpointing()
            ours = trained._gradient_checkpointing_func

            def count_blocks(block, *arguments, ours=ours):
                nonlocal blocks
                blocks += 1
                return ours(block, *arguments)

            trained._gradient_checkpointing_func = count_blocks
        trained.zero_grad()
        sample, t, text, mask_batch = inputs
        with attach_adapter(unet, trained):  # the backward pass runs the layers again, so it belongs inside
            context = FrameContext(FRAMES, {DEFAULT: (trained.mask_term(mask_batch),)})
            out = unet(sample, t, text, cross_attention_kwargs={"context": context}).sample
            out.square().mean().backward()
        gradients.append({n: p.grad.clone() for n, p in trained.named_parameters() if p.grad is not None})
    assert blocks == len(trained.temporal), "or activations would not be saved, and nothing compared"
    assert set(gradients[0]) == set(gradients[1]) == {n for n, _ in trained.named_parameters()}
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4)


def test_every_trainable_weight_gets_a_gradient_or_starts_at_zero(unet, fresh, inputs):
    call(unet, fresh, inputs).square().mean().backward()
    assert all(fresh.to_m[name].weight.grad.abs().sum() > 0 for name in fresh.to_m)
    assert all(block.to_out.weight.grad.abs().sum() > 0 for block in fresh.temporal.values())
    lowest = 8 >> (len(unet.config.block_out_channels) - 1)
    choosing = {n: p for n, p in fresh.query.items() if lowest > 1 or "mid_block" not in n}  # one key leaves no choice
    assert len(choosing) >= len(fresh.query) - 1
    assert all(parameter.grad.abs().sum() > 0 for parameter in choosing.values())


def test_detaching_leaves_no_trace(unet, trained, inputs):
    keys = list(unet.state_dict())
    with torch.no_grad():
        before = unet(inputs[0], inputs[1], inputs[2]).sample
        with pytest.raises(RuntimeError, match="in the middle"), attach_adapter(unet, trained):
            assert list(unet.state_dict()) == keys
            raise RuntimeError("in the middle")
        assert torch.equal(unet(inputs[0], inputs[1], inputs[2]).sample, before)
    assert list(unet.state_dict()) == keys


def test_saved_adapter_gives_the_same_output(unet, trained, inputs, tmp_path):
    trained.save_pretrained(tmp_path)
    loaded_adapter = MotionMaskAdapter.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(call(unet, trained, inputs), call(unet, loaded_adapter, inputs))


def test_adapter_of_another_architecture_is_refused(unet, trained):
    from diffusers import UNet2DConditionModel

    another = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=2,
        norm_num_groups=8,
    )
    layers_text = (
        f"{len(unet.attn_processors)} attention layers of widths {'16/32' if len(trained.to_m) == 7 else '8/16'}"
    )
    with (
        pytest.raises(PackError, match=rf"{layers_text}.*this one has 8 .* of widths 8/16"),
        attach_adapter(another, trained),
    ):
        pass


def test_small_object_survives_to_the_lowest_resolution():
    adapter = MotionMaskAdapter.for_unet(small_unet(), patch=8, mask_encoder="linear")
    mask = torch.zeros(1, 320, 512)
    mask[0, 100:112, 200:212] = 1
    levels = adapter.pyramid(mask, 4)
    assert sorted(levels.features) == [40, 160, 640, 2560]
    for coverage in (*levels.features.values(), *levels.coverage.values()):
        assert coverage.sum() * (320 * 512 / coverage.shape[1]) == pytest.approx(144, rel=1e-4)


def test_foreground_tokens_start_as_nothing_and_are_saved(unet, inputs, tmp_path):
    torch.manual_seed(1)
    adapter = MotionMaskAdapter.for_unet(unet, mask_width=6, foreground_tokens=3)
    torch.manual_seed(1)
    without = MotionMaskAdapter.for_unet(unet, mask_width=6)
    with torch.no_grad():
        torch.testing.assert_close(call(unet, adapter, inputs), call(unet, without, inputs), atol=1e-6, rtol=1e-6)
    call(unet, adapter, inputs).square().mean().backward()
    assert all(learned.grad[1].abs().sum() > 0 for learned in adapter.foreground.values())
    assert {id(p) for p in adapter.foreground.parameters()} <= {id(p) for p in adapter.parameter_groups()["mask"]}
    with torch.no_grad():
        for learned in adapter.foreground.values():
            learned.normal_()
        adapter.save_pretrained(tmp_path)
        changed = call(unet, adapter, inputs)
        assert (changed - call(unet, without, inputs)).abs().max() > 1e-3
        assert torch.equal(call(unet, MotionMaskAdapter.from_pretrained(tmp_path).eval(), inputs), changed)


def test_attention_processors_of_others_are_refused_by_name_and_left_in_place(trained, unet):
    """IP-Adapter puts its weights into processors; replacing them would drop it without a word."""
    from diffusers.models.attention_processor import AttnProcessor, IPAdapterAttnProcessor2_0

    plain = {name: AttnProcessor() for name in unet.attn_processors}
    name = next(name for name in plain if ".attn2." in name)
    unet.set_attn_processor({**plain, name: IPAdapterAttnProcessor2_0(16, 24)})
    before = dict(unet.attn_processors)
    with (
        pytest.raises(InputError, match=r"IPAdapterAttnProcessor2_0.*unload_ip_adapter"),
        attach_adapter(unet, trained),
    ):
        pass
    assert unet.attn_processors == before
    unet.set_attn_processor(plain)
    with attach_adapter(unet, trained):
        pass
