"""Few-shot tuning on the small random pack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mvmodel.errors import InputError, PackError
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.training.config import TrainConfig, TrainingClip
from mvmodel.training.finetune import draw, finetune, load_adapter
from mvmodel.training.latents import TrainingLatents
from mvmodel.training.loop import LoopConfig, Stopped, learning_rate, train
from mvmodel.training.loss import denoising_loss

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
    third = finetune(small_pack, clips, QUICK.model_copy(update={"seed": 1}), tmp_path / "c")
    assert (first / name).read_bytes() != (third / name).read_bytes()


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
        "from mvmodel.training.config import TrainConfig, TrainingClip\n"
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
        with torch.no_grad(), adapter.attached(unet):
            t, keep = torch.tensor([600]), torch.tensor([True])
            return float(
                denoising_loss(
                    unet, adapter, scheduler, latents, masks_, text, noise_, t, keep, foreground_weight=weight
                )
            )

    plain = measure(noise)
    first = noise.clone()
    first[:, 0] += 5
    assert measure(first) == plain
    later = noise.clone()
    later[:, 1] += 5
    assert measure(later) != plain
    assert measure(noise, torch.ones_like(masks), 1.0) == pytest.approx(
        2 * measure(noise, torch.ones_like(masks)), rel=1e-5
    )


def test_draw_drops_prompt_and_mask_together():
    data = TrainingLatents(
        torch.randn(3, 2, 4, 4, 8, 8), torch.rand(3, 2, 4, 64, 64), torch.ones(3, 5, 8), torch.zeros(1, 5, 8)
    )
    config = TrainConfig(dropout=0.5, clips_per_step=2)
    dropped = kept = 0
    for index in range(40):
        *_, text, _, _, keep = draw(data, config, index)
        for sentence, flag in zip(text, keep, strict=True):
            assert bool(sentence.any()) == bool(flag)
            dropped, kept = dropped + (not flag), kept + bool(flag)
    assert 20 < dropped < 60


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


def _line(steps: int, **changes):
    """A one-weight model for tests of the loop itself."""
    model = torch.nn.Linear(1, 1)
    config = LoopConfig(steps=steps, batch=1, lr=1e-2, precision="no", checkpoint_every=2, **changes)
    return model, config


def test_loop_stops_at_a_loss_that_is_not_finite_and_keeps_the_checkpoint(tmp_path):
    model, config = _line(10)

    def loss(net, x, step):
        return net(x).mean() * (float("nan") if step == 5 else 1.0), {}

    with pytest.raises(FloatingPointError, match="line: the loss is not finite at step 5"):
        train("line", model, lambda i: torch.ones(1, 1), loss, config, tmp_path)
    assert (tmp_path / "checkpoint" / "complete").exists()


def test_loop_stops_cleanly_on_sigterm_and_goes_on(tmp_path):
    model, config = _line(2000)
    seen: list[int] = []

    def loss(net, x, step):
        seen.append(step)
        if len(seen) == 3 and step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        return net(x).square().mean(), {}

    with pytest.raises(Stopped, match="stopped at step 3; run again"):
        train("line", model, lambda i: torch.ones(1, 1), loss, config, tmp_path, report=lambda row: None)
    seen.clear()
    short = LoopConfig(**{**config.__dict__, "steps": 6})
    train("line", model, lambda i: torch.ones(1, 1), loss, short, tmp_path, report=lambda row: None)
    assert seen[0] == 3


def test_learning_rate_warms_up_and_falls():
    config = LoopConfig(steps=100, batch=1, lr=1.0, warmup=10, final_lr=0.1)
    values = [learning_rate(step, config) for step in range(100)]
    assert values[0] == pytest.approx(0.1) and max(values) == 1.0
    assert values[-1] == pytest.approx(0.1, abs=0.01)
