"""The adapter as a whole on a real UNet2DConditionModel."""

from __future__ import annotations

import pytest
import torch

from mvmodel.errors import PackError
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.context import FrameContext
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


def call(unet, adapter, inputs, scale=1.0, masks=True, **context):
    sample, t, text, cover = inputs
    features = adapter.mask_features(cover) if masks else None
    with adapter.attached(unet, scale):
        return unet(
            sample, t, text, cross_attention_kwargs={"context": FrameContext(FRAMES, masks=features, **context)}
        ).sample


def test_fresh_adapter_changes_nothing_but_where_keys_come_from(unet, fresh, inputs):
    with torch.no_grad():
        plain = call(unet, fresh, inputs, scale=0.0)
        assert torch.equal(call(unet, fresh, inputs), plain)
        alone = unet(inputs[0], inputs[1], inputs[2]).sample
    torch.testing.assert_close(plain[0::FRAMES], alone[0::FRAMES], atol=1e-5, rtol=1e-5)


def test_one_frame_clips_equal_the_base_model(unet, fresh, inputs):
    sample, t, text, masks = inputs
    with torch.no_grad(), fresh.attached(unet):
        context = FrameContext(1, masks=fresh.mask_features(masks))
        out = unet(sample, t, text, cross_attention_kwargs={"context": context}).sample
    with torch.no_grad():
        torch.testing.assert_close(out, unet(sample, t, text).sample, atol=1e-5, rtol=1e-5)


def test_masks_change_the_output_once_trained(unet, trained, inputs):
    with torch.no_grad():
        with_masks = call(unet, trained, inputs)
        without = call(unet, trained, inputs, masks=False)
        moved = (*inputs[:3], inputs[3].roll(16, dims=2))
        assert (with_masks - without).abs().max() > 1e-3
        assert (with_masks - call(unet, trained, moved)).abs().max() > 1e-3


def test_no_path_from_later_frames_into_frame_one(unet, trained, inputs):
    sample, t, text, masks = inputs
    other = sample.clone()
    other.view(CLIPS, FRAMES, 4, 8, 8)[:, 1:] += 1
    with torch.no_grad():
        before = call(unet, trained, inputs).unflatten(0, (CLIPS, FRAMES))
        after = call(unet, trained, (other, t, text, masks)).unflatten(0, (CLIPS, FRAMES))
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1:], after[:, 1:], atol=1e-3)


def test_remembered_first_frame_equals_the_whole_clip(unet, trained, inputs):
    sample, _, text, masks = inputs
    clips = sample.unflatten(0, (CLIPS, FRAMES))
    with torch.no_grad():
        whole = call(unet, trained, inputs).unflatten(0, (CLIPS, FRAMES))
        features = trained.mask_features(masks)
        part = {n: f.unflatten(0, (CLIPS, FRAMES)) for n, f in features.items()}
        with trained.attached(unet):
            first = FrameContext(1, {n: f[:, 0] for n, f in part.items()}, remember=True)
            unet(clips[:, 0], torch.zeros(CLIPS).long(), text[::FRAMES], cross_attention_kwargs={"context": first})
            later = FrameContext(2, {n: f[:, 1:].flatten(0, 1) for n, f in part.items()}, first.memory, first=1)
            out = unet(
                clips[:, 1:].flatten(0, 1),
                torch.full((CLIPS * 2,), 700),
                text.unflatten(0, (CLIPS, FRAMES))[:, 1:].flatten(0, 1),
                cross_attention_kwargs={"context": later},
            ).sample.unflatten(0, (CLIPS, 2))
    torch.testing.assert_close(out, whole[:, 1:], atol=1e-5, rtol=1e-5)


def test_gradients_with_and_without_checkpointing_agree(unet, trained, inputs):
    gradients = []
    for checkpointing in (False, True):
        unet.train()
        if checkpointing:
            unet.enable_gradient_checkpointing()
            trained.enable_gradient_checkpointing()
        trained.zero_grad()
        with trained.attached(unet):  # the backward pass runs the layers again, so it belongs inside
            call(unet, trained, inputs).square().mean().backward()
        gradients.append({n: p.grad.clone() for n, p in trained.named_parameters() if p.grad is not None})
    assert set(gradients[0]) == set(gradients[1]) == {n for n, _ in trained.named_parameters()}
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4)


def test_every_trainable_weight_gets_a_gradient_or_starts_at_zero(unet, fresh, inputs):
    call(unet, fresh, inputs).square().mean().backward()
    assert all(fresh.to_m[name].weight.grad.abs().sum() > 0 for name in fresh.to_m)
    assert all(block.to_out.weight.grad.abs().sum() > 0 for block in fresh.temporal.values())
    assert all(parameter.grad.abs().sum() > 0 for parameter in fresh.query.values())


def test_detaching_leaves_no_trace(unet, trained, inputs):
    keys = list(unet.state_dict())
    with torch.no_grad():
        before = unet(inputs[0], inputs[1], inputs[2]).sample
        with pytest.raises(RuntimeError, match="in the middle"), trained.attached(unet):
            assert list(unet.state_dict()) == keys
            raise RuntimeError("in the middle")
        assert torch.equal(unet(inputs[0], inputs[1], inputs[2]).sample, before)
    assert list(unet.state_dict()) == keys


def test_saved_adapter_gives_the_same_output(unet, trained, inputs, tmp_path):
    trained.save_pretrained(tmp_path)
    again = MotionMaskAdapter.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(call(unet, trained, inputs), call(unet, again, inputs))


def test_adapter_of_another_architecture_is_refused(trained):
    from diffusers import UNet2DConditionModel

    other = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=2,
        norm_num_groups=8,
    )
    with pytest.raises(PackError, match="14 attention layers.*this one has 8"), trained.attached(other):
        pass


def test_small_object_survives_to_the_lowest_resolution():
    adapter = MotionMaskAdapter.for_unet(small_unet(), patch=8, mask_encoder="linear")
    mask = torch.zeros(1, 320, 512)
    mask[0, 100:112, 200:212] = 1
    levels = adapter.pyramid(mask, 4)
    assert sorted(levels) == [40, 160, 640, 2560]
    for coverage in levels.values():
        assert coverage.sum() * (320 * 512 / coverage.shape[1]) == pytest.approx(144, rel=1e-4)
