"""Few-shot tuning on the small random pack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mvmodel.backends.image_unet.latents import TrainingLatents
from mvmodel.backends.image_unet.loss import denoising_loss, min_snr_weights
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.errors import InputError, PackError
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapter
from mvmodel.model.context import DEFAULT, FrameContext
from mvmodel.training.finetune import draw, finetune, load_adapter
from mvmodel.training.overfit import OVERFIT_CONFIG, overfit

QUICK = TrainConfig(steps=6, warmup=1, init_from=None, checkpoint_every=2, mask_width=4, precision="no", lr=1e-3)


@pytest.fixture
def clips() -> list[TrainingClip]:
    rng = np.random.default_rng(0)
    return [
        TrainingClip(
            f"clip-{i}",
            rng.integers(0, 255, (4, 64, 64, 3), dtype=np.uint8),
            rng.random((4, 64, 64)) > 0.7,
            "a horse runs",
        )
        for i in range(2)
    ]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def test_adapter_folder_is_whole(small_pack, clips, tmp_path):
    rows: list[dict] = []
    out = finetune(small_pack, clips, QUICK, tmp_path, validation=clips[:1], report=rows.append)
    facts = json.loads((out / "train.json").read_text())
    assert facts["config"] == QUICK.model_dump()
    assert facts["pack_hash"] == small_pack.hash
    assert [clip["name"] for clip in facts["clips"]] == ["clip-0", "clip-1"]
    assert "random pack" in (out / "README.md").read_text()
    assert rows[-1]["step"] == 6
    assert not (tmp_path / "work").exists()
    assert any(value.abs().sum() > 0 for name, value in weights(out).items() if name.startswith("to_m"))
    load_adapter(out).check_fits(small_pack.unet())


def test_same_seed_same_bytes_and_finished_work_is_kept(small_pack, clips, tmp_path):
    first = finetune(small_pack, clips, QUICK, tmp_path / "a")
    stamp = (first / "train.json").stat().st_mtime_ns
    assert finetune(small_pack, clips, QUICK, tmp_path / "a") == first
    assert (first / "train.json").stat().st_mtime_ns == stamp
    second = finetune(small_pack, clips, QUICK, tmp_path / "b")
    name = "diffusion_pytorch_model.safetensors"
    assert (first / name).read_bytes() == (second / name).read_bytes()
    with pytest.raises(InputError, match="trained with other settings, clips or models; give another folder"):
        finetune(small_pack, clips, QUICK.model_copy(update={"steps": 7}), tmp_path / "a")
    with pytest.raises(InputError, match="trained with other settings"):
        finetune(small_pack, clips[:1], QUICK, tmp_path / "a")
    third = finetune(small_pack, clips, QUICK.model_copy(update={"seed": 1}), tmp_path / "c")
    assert (first / name).read_bytes() != (third / name).read_bytes()


def test_the_checkpoint_of_other_settings_is_not_gone_on_with(small_pack, clips, tmp_path):
    def stop(row: dict) -> None:
        if row["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(small_pack, clips, QUICK.model_copy(update={"lr": 1e-1}), tmp_path / "a", report=stop)
    assert (tmp_path / "a" / "work" / "checkpoint").exists()
    rows: list[dict] = []
    other = finetune(small_pack, clips, QUICK, tmp_path / "a", report=rows.append)
    assert rows[0]["step"] == 1
    same = finetune(small_pack, clips, QUICK, tmp_path / "b")
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(same).items())


def test_starts_from_another_adapter(small_pack, clips, tmp_path):
    start = finetune(small_pack, clips, QUICK, tmp_path / "start")
    config = QUICK.model_copy(update={"init_from": str(start), "steps": 1, "lr": 1e-9, "mask_lr": 1e-9})
    out = finetune(small_pack, clips, config, tmp_path / "next")
    for name, value in weights(start).items():
        torch.testing.assert_close(weights(out)[name], value, atol=1e-4, rtol=1e-3)


def test_pack_without_start_adapter_says_so(small_pack, clips, tmp_path):
    with pytest.raises(PackError, match="ships no start adapter; set init_from"):
        finetune(small_pack, clips, QUICK.model_copy(update={"init_from": "start"}), tmp_path)


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_weights(small_pack_folder, clips, tmp_path):
    """SIGKILL in the middle, then the same command again: bit for bit the unbroken run's weights."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, time, numpy as np, torch\n"
        "from pathlib import Path\n"
        "from mvmodel.packs import load_pack\n"
        "from mvmodel.backends.training_config import TrainConfig, TrainingClip\n"
        "from mvmodel.training.finetune import finetune\n"
        "torch.set_num_threads(1)\n"
        "rng = np.random.default_rng(0)\n"
        "clips = [TrainingClip(f'c{i}', rng.integers(0, 255, (4, 64, 64, 3), dtype=np.uint8),"
        " rng.random((4, 64, 64)) > 0.7, 'a horse') for i in range(2)]\n"
        "slow = float(sys.argv[3])\n"
        "config = TrainConfig(steps=10, warmup=1, init_from=None, checkpoint_every=2, mask_width=4, precision='no')\n"
        "def report(row):\n"
        "    print(row['step'], flush=True)\n"
        "    time.sleep(slow)\n"
        "finetune(load_pack(sys.argv[1]), clips, config, Path(sys.argv[2]), report=report)\n"
    )

    def start(folder: Path, slow: float) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(small_pack_folder), str(folder), str(slow)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    whole = start(tmp_path / "whole", 0)
    steps = [int(line) for line in whole.communicate(timeout=240)[0].split()]
    assert whole.returncode == 0 and steps == list(range(1, 11))
    broken = start(tmp_path / "broken", 0.3)
    assert broken.stdout is not None
    for line in broken.stdout:
        if int(line) >= 5:
            broken.send_signal(signal.SIGKILL)
            break
    broken.wait()
    assert not (tmp_path / "broken" / "adapter").exists()
    again = start(tmp_path / "broken", 0)
    resumed = [int(line) for line in again.communicate(timeout=240)[0].split()]
    assert again.returncode == 0 and resumed[0] > 1
    name = "adapter/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


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

    plain = measure(noise)

    def spoil(module, given, output):
        output.sample.unflatten(0, (1, 3))[:, 0] += 1000

    hook = unet.register_forward_hook(spoil)
    assert measure(noise) == plain, "whatever is predicted for frame 1"
    hook.remove()
    first = noise.clone()
    first[:, 0] += 5
    assert measure(first) == plain
    later = noise.clone()
    later[:, 1] += 5
    assert measure(later) != plain
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
        found = denoising_loss(unet, adapter, scheduler, latents, masks, text, noise, t, keep, clean)
        errors = []
        for clip in range(2):
            steps = torch.full((4,), int(t[clip]))
            noisy = scheduler.add_noise(latents[clip], noise[clip], steps)
            steps[: clean[clip]], noisy[: clean[clip]] = 0, latents[clip, : clean[clip]]
            context = FrameContext(4, {DEFAULT: (adapter.mask_term(masks[clip]),)})
            options = {"encoder_hidden_states": text[clip][None]}
            out = unet(noisy, steps, **options, cross_attention_kwargs={"context": context}).sample
            errors += [(out[i] - noise[clip, i]).square().mean() for i in range(int(clean[clip]), 4)]
    assert float(found) == pytest.approx(float(torch.stack(errors).mean()), rel=1e-5)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_min_snr_weighs_as_its_paper_says(kind):
    from diffusers import DDIMScheduler
    from diffusers.training_utils import compute_snr

    scheduler = DDIMScheduler(prediction_type=kind, beta_schedule="scaled_linear")
    t = torch.tensor([0, 100, 500, 999])
    snr = compute_snr(scheduler, t)
    expected = torch.minimum(snr, torch.tensor(5.0)) / (snr if kind == "epsilon" else snr + 1)
    torch.testing.assert_close(min_snr_weights(scheduler, t, 5.0), expected, rtol=1e-4, atol=1e-6)


def test_draw_drops_prompt_and_mask_together_and_each_alone():
    data = TrainingLatents(
        torch.randn(3, 2, 4, 4, 8, 8), torch.rand(3, 2, 4, 64, 64), torch.ones(3, 5, 8), torch.zeros(1, 5, 8)
    )

    def shares(**options: float) -> dict[tuple[bool, bool], float]:
        config = TrainConfig(clips_per_step=4, **options)
        seen: dict[tuple[bool, bool], float] = {}
        for index in range(100):
            _, _, text, _, _, keep, clean = draw(data, config, index)
            assert clean.min() >= 1 and clean.max() <= 2
            for sentence, flag, given in zip(text, keep, clean, strict=True):
                key = (bool(sentence.any()), bool(flag))
                seen[key] = seen.get(key, 0) + 1 / 400
                more.append(int(given) > 1)
        return seen

    more: list[bool] = []
    assert set(shares(dropout=0.5)) == {(True, True), (False, False)} and not any(more)
    assert shares(dropout=0.5)[False, False] == pytest.approx(0.5, abs=0.1)
    apart = shares(dropout=0.0, text_dropout=0.3, mask_dropout=0.2)
    assert apart[False, True] == pytest.approx(0.3 * 0.8, abs=0.07)
    assert apart[True, False] == pytest.approx(0.7 * 0.2, abs=0.07)
    more.clear()
    shares(context_share=1.0)
    assert 0.2 < sum(more) / len(more) < 0.8


def test_options_change_the_adapter_and_previews_are_kept(small_pack, clips, tmp_path):
    plain = weights(finetune(small_pack, clips, QUICK, tmp_path / "plain"))
    changes = {"ema": 0.9, "min_snr_gamma": 0.01, "context_share": 1.0, "text_dropout": 0.9}
    for name, value in changes.items():
        other = weights(finetune(small_pack, clips, QUICK.model_copy(update={name: value}), tmp_path / name))
        assert any(not torch.equal(plain[key], other[key]) for key in plain), name
    config = QUICK.model_copy(update={"preview_every": 3, "foreground_tokens": 2, "data_licence": "CC0"})
    out = finetune(small_pack, clips, config, tmp_path / "shown")
    from PIL import Image

    strips = sorted((out / "previews").glob("*.png"))
    assert [strip.name for strip in strips] == ["samples-000003.png", "samples-000006.png"]
    assert Image.open(strips[0]).size == (4 * 64, 3 * 64)
    assert "Licence of the clips: CC0." in (out / "README.md").read_text()
    with_previews = {**QUICK.model_dump(), "preview_every": 2}
    same = weights(finetune(small_pack, clips, TrainConfig(**with_previews), tmp_path / "same"))
    assert all(torch.equal(plain[key], same[key]) for key in plain), "looking changes nothing"


def test_checkpointed_training_gives_the_same_adapter(small_pack, clips, tmp_path):
    plain = weights(finetune(small_pack, clips, QUICK, tmp_path / "a"))
    config = QUICK.model_copy(update={"gradient_checkpointing": True})
    saved = weights(finetune(small_pack, clips, config, tmp_path / "b"))
    for name, value in plain.items():
        torch.testing.assert_close(saved[name], value, atol=1e-3, rtol=1e-2)
    assert not small_pack.unet().is_gradient_checkpointing


def test_bad_clips_are_refused(small_pack, clips, tmp_path):
    with pytest.raises(InputError, match="no clip to train on"):
        finetune(small_pack, [], QUICK, tmp_path)
    short = TrainingClip("short", clips[0].frames[:3], clips[0].masks[:3], "")
    with pytest.raises(InputError, match="the clips differ in size"):
        finetune(small_pack, [clips[0], short], QUICK, tmp_path)
    with pytest.raises(InputError, match="clip odd: frames are"):
        TrainingClip("odd", clips[0].frames, clips[0].masks[:, :32], "")
    with pytest.raises(PackError, match="holds no motion adapter"):
        load_adapter(tmp_path / "nothing")


@pytest.mark.slow
def test_one_clip_can_be_overfitted_and_a_learning_rate_of_nothing_cannot(tiny_pack):
    from mvmodel.world.render import random_clip

    made = random_clip((1, 5), frames=6, motion="gallop", objects=("horse",))
    clip = TrainingClip("horse", made.frames, made.masks, made.caption)
    quick = OVERFIT_CONFIG.model_copy(update={"steps": 40})
    found = overfit(tiny_pack, clip, quick, report=lambda row: None)
    assert found.passed, found
    idle = quick.model_copy(update={"lr": 1e-12, "mask_lr": 1e-12, "steps": 4})
    assert not overfit(tiny_pack, clip, idle, report=lambda row: None).passed
