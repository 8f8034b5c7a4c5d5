"""The denoising loss: what counts, and how much."""

from __future__ import annotations

import pytest
import torch

from mvmodel.backends.image_unet.loss import denoising_loss, min_snr_weights
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapter
from mvmodel.model.context import DEFAULT, FrameContext


def test_loss_ignores_frame_one_and_weighs_the_foreground(small_pack):
    torch.manual_seed(0)
    unet, scheduler = small_pack.unet(), small_pack.scheduler()
    adapter = MotionMaskAdapter.for_unet(unet, mask_width=4)
    latents, noise = torch.randn(1, 3, 4, 8, 8), torch.randn(1, 3, 4, 8, 8)
    masks, text = torch.zeros(1, 3, 64, 64), torch.randn(1, 77, 32)

    def measure(noise_: torch.Tensor, masks_: torch.Tensor = masks, weight: float = 0.0) -> float:
        with torch.no_grad(), attach_adapter(unet, adapter):
            t, keep = torch.tensor([600]), torch.tensor([True])
            return float(
                denoising_loss(
                    unet, adapter, scheduler, latents, masks_, text, noise_, t, keep, foreground_weight=weight
                )
            )

    base_loss = measure(noise)

    def spoil(module, inputs, output):
        output.sample.unflatten(0, (1, 3))[:, 0] += 1000

    hook = unet.register_forward_hook(spoil)
    assert measure(noise) == base_loss, "whatever is predicted for frame 1"
    hook.remove()
    first = noise.clone()
    first[:, 0] += 5
    assert measure(first) == base_loss
    later = noise.clone()
    later[:, 1] += 5
    assert measure(later) != base_loss
    assert measure(noise, torch.ones_like(masks), 1.0) == pytest.approx(
        2 * measure(noise, torch.ones_like(masks)), rel=1e-5
    )


def test_clean_frames_go_in_clean_and_carry_no_loss(small_pack):
    """Against the loss of the frames themselves, one by one, from a call of the UNet of our own."""
    torch.manual_seed(0)
    unet, scheduler = small_pack.unet(), small_pack.scheduler()
    adapter = MotionMaskAdapter.for_unet(unet, mask_width=4)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    latents, noise = torch.randn(2, 4, 4, 8, 8), torch.randn(2, 4, 4, 8, 8)
    masks, text, t = torch.rand(2, 4, 64, 64), torch.randn(2, 77, 32), torch.tensor([600, 300])
    clean, keep = torch.tensor([3, 1]), torch.ones(2, dtype=torch.bool)
    with torch.no_grad(), attach_adapter(unet, adapter):
        loss = denoising_loss(unet, adapter, scheduler, latents, masks, text, noise, t, keep, clean)
        errors = []
        for clip in range(2):
            steps = torch.full((4,), int(t[clip]))
            noisy = scheduler.add_noise(latents[clip], noise[clip], steps)
            steps[: clean[clip]], noisy[: clean[clip]] = 0, latents[clip, : clean[clip]]
            term = adapter.mask_term(masks[clip])
            context = FrameContext(4, {DEFAULT: (term,)}, clean_frames=clean[clip : clip + 1])
            options = {"encoder_hidden_states": text[clip][None]}
            out = unet(noisy, steps, **options, cross_attention_kwargs={"context": context}).sample
            errors += [(out[i] - noise[clip, i]).square().mean() for i in range(int(clean[clip]), 4)]
    assert float(loss) == pytest.approx(float(torch.stack(errors).mean()), rel=1e-5)


def test_what_a_noisy_frame_contains_does_not_reach_the_context(small_pack):
    """Context frames are features of frame 1 and themselves when a window caches them, so also in training."""
    torch.manual_seed(0)
    unet, scheduler = small_pack.unet(), small_pack.scheduler()
    adapter = MotionMaskAdapter.for_unet(unet, mask_width=4)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    latents, noise = torch.randn(1, 4, 4, 8, 8), torch.randn(1, 4, 4, 8, 8)
    predictions = []
    hook = unet.register_forward_hook(lambda module, inputs, output: predictions.append(output.sample.clone()))
    arguments = (torch.zeros(1, 4, 64, 64), torch.randn(1, 77, 32))
    with torch.no_grad(), attach_adapter(unet, adapter):
        for last_frame in (latents[:, 3], latents[:, 3] + torch.randn(1, 4, 8, 8)):
            latents = torch.cat([latents[:, :3], last_frame[:, None]], dim=1)
            t, keep, clean = torch.tensor([600]), torch.tensor([True]), torch.tensor([3])
            denoising_loss(unet, adapter, scheduler, latents, *arguments, noise, t, keep, clean)
    hook.remove()
    assert torch.equal(predictions[0][:3], predictions[1][:3]) and not torch.equal(predictions[0][3], predictions[1][3])


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_min_snr_weighs_as_its_paper_says(kind):
    from diffusers import DDIMScheduler
    from diffusers.training_utils import compute_snr

    scheduler = DDIMScheduler(prediction_type=kind, beta_schedule="scaled_linear")
    t = torch.tensor([0, 100, 500, 999])
    snr = compute_snr(scheduler, t)
    expected = torch.minimum(snr, torch.tensor(5.0)) / (snr if kind == "epsilon" else snr + 1)
    torch.testing.assert_close(min_snr_weights(scheduler, t, 5.0), expected, rtol=1e-4, atol=1e-6)
