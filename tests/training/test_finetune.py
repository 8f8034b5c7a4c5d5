"""Few-shot tuning on the small random pack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.errors import InputError, PackError
from mvmodel.model.saving import load_adapter
from mvmodel.training.finetune import finetune
from mvmodel.training.overfit import OVERFIT_CONFIG, overfit
from tests.training.test_processes import make_clips

QUICK = TrainConfig(steps=6, warmup=1, init_from=None, checkpoint_every=2, mask_width=4, precision="no", lr=1e-3)


@pytest.fixture
def backend(small_pack):
    return load_backend(small_pack)


@pytest.fixture
def clips() -> list[TrainingClip]:
    return make_clips()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def test_adapter_folder_is_whole(backend, small_pack, clips, tmp_path):
    rows: list[dict] = []
    out = finetune(backend, clips, QUICK, tmp_path, validation=clips[:1], report=rows.append)
    record = json.loads((out / "train.json").read_text())
    assert record["config"] == QUICK.model_dump(mode="json")
    assert record["pack_hash"] == small_pack.hash
    assert [clip["name"] for clip in record["clips"]] == ["clip-0", "clip-1"]
    assert "random pack" in (out / "README.md").read_text()
    assert rows[-1]["step"] == 6
    validation = {row["step"]: row["validation"] for row in rows if "validation" in row}
    assert validation == {
        0: round(record["validation_loss_before"], 5),
        6: round(record["validation_loss_after"], 5),
    }
    assert not (tmp_path / "work").exists()
    assert any(value.abs().sum() > 0 for name, value in weights(out).items() if name.startswith("to_m"))
    load_adapter(out).check_fits(small_pack.unet())


def test_same_seed_same_bytes_and_finished_work_is_kept(backend, clips, tmp_path):
    first = finetune(backend, clips, QUICK, tmp_path / "a")
    stamp = (first / "train.json").stat().st_mtime_ns
    assert finetune(backend, clips, QUICK, tmp_path / "a") == first
    assert (first / "train.json").stat().st_mtime_ns == stamp
    second = finetune(backend, clips, QUICK, tmp_path / "b")
    name = "diffusion_pytorch_model.safetensors"
    assert (first / name).read_bytes() == (second / name).read_bytes()
    with pytest.raises(InputError, match="trained with other settings, clips or models; give another folder"):
        finetune(backend, clips, QUICK.model_copy(update={"steps": 7}), tmp_path / "a")
    with pytest.raises(InputError, match="trained with other settings"):
        finetune(backend, clips[:1], QUICK, tmp_path / "a")
    third = finetune(backend, clips, QUICK.model_copy(update={"seed": 1}), tmp_path / "c")
    assert (first / name).read_bytes() != (third / name).read_bytes()


def test_the_checkpoint_of_other_settings_is_not_gone_on_with(backend, clips, tmp_path):
    def stop(row: dict) -> None:
        if row["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(backend, clips, QUICK.model_copy(update={"lr": 1e-1}), tmp_path / "a", report=stop)
    assert (tmp_path / "a" / "work" / "checkpoint").exists()
    rows: list[dict] = []
    retrained = finetune(backend, clips, QUICK, tmp_path / "a", report=rows.append)
    assert rows[0]["step"] == 1
    same = finetune(backend, clips, QUICK, tmp_path / "b")
    assert all(torch.equal(value, weights(retrained)[name]) for name, value in weights(same).items())


def test_starts_from_another_adapter(backend, clips, tmp_path):
    start = finetune(backend, clips, QUICK, tmp_path / "start")
    config = QUICK.model_copy(update={"init_from": str(start), "steps": 1, "lr": 1e-9, "mask_lr": 1e-9})
    out = finetune(backend, clips, config, tmp_path / "next")
    for name, value in weights(start).items():
        torch.testing.assert_close(weights(out)[name], value, atol=1e-4, rtol=1e-3)


def test_pack_without_start_adapter_says_so(backend, clips, tmp_path):
    with pytest.raises(PackError, match="ships no start adapter; set init_from"):
        finetune(backend, clips, QUICK.model_copy(update={"init_from": "start"}), tmp_path)


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_weights(small_pack_folder, clips, tmp_path):
    """SIGKILL in the middle, then the same command again: bit for bit the unbroken run's weights."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, time, numpy as np, torch\n"
        "from pathlib import Path\n"
        "from mvmodel.packs import load_pack\n"
        "from mvmodel.backends.load import load_backend\n"
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
        "finetune(load_backend(load_pack(sys.argv[1])), clips, config, Path(sys.argv[2]), report=report)\n"
    )

    def start(folder: Path, slow: float) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(small_pack_folder), str(folder), str(slow)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    unbroken = start(tmp_path / "whole", 0)
    steps = [int(line) for line in unbroken.communicate(timeout=900)[0].split()]
    assert unbroken.returncode == 0 and steps == list(range(1, 11))
    broken = start(tmp_path / "broken", 0.3)
    assert broken.stdout is not None
    for line in broken.stdout:
        if int(line) >= 5:
            broken.send_signal(signal.SIGKILL)
            break
    broken.wait()
    assert not (tmp_path / "broken" / "adapter").exists()
    resumed_run = start(tmp_path / "broken", 0)
    resumed = [int(line) for line in resumed_run.communicate(timeout=900)[0].split()]
    assert resumed_run.returncode == 0 and resumed[0] > 1
    name = "adapter/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_options_change_the_adapter_and_previews_are_kept(backend, clips, tmp_path):
    base = weights(finetune(backend, clips, QUICK, tmp_path / "plain"))
    changes = {"ema": 0.9, "min_snr_gamma": 0.01, "context_share": 1.0, "text_dropout": 0.9}
    for name, value in changes.items():
        retrained = weights(finetune(backend, clips, QUICK.model_copy(update={name: value}), tmp_path / name))
        assert any(not torch.equal(base[key], retrained[key]) for key in base), name
    config = QUICK.model_copy(update={"preview_every": 3, "foreground_tokens": 2, "data_licence": "CC0"})
    out = finetune(backend, clips, config, tmp_path / "shown")
    from PIL import Image

    strips = sorted((out / "previews").glob("*.png"))
    assert [strip.name for strip in strips] == ["samples-000003.png", "samples-000006.png"]
    assert Image.open(strips[0]).size == (4 * 64, 3 * 64)
    assert "Licence of the clips: CC0." in (out / "README.md").read_text()
    with_previews = {**QUICK.model_dump(), "preview_every": 2}
    same = weights(finetune(backend, clips, TrainConfig(**with_previews), tmp_path / "same"))
    assert all(torch.equal(base[key], same[key]) for key in base), "looking changes nothing"


def test_checkpointed_training_gives_the_same_adapter(backend, small_pack, clips, tmp_path):
    base = weights(finetune(backend, clips, QUICK, tmp_path / "a"))
    config = QUICK.model_copy(update={"gradient_checkpointing": True})
    saved = weights(finetune(backend, clips, config, tmp_path / "b"))
    for name, value in base.items():
        torch.testing.assert_close(saved[name], value, atol=1e-3, rtol=1e-2)
    assert not small_pack.unet().is_gradient_checkpointing


def test_bad_clips_are_refused(backend, clips, tmp_path):
    with pytest.raises(InputError, match="no clip to train on"):
        finetune(backend, [], QUICK, tmp_path)
    short = TrainingClip("short", clips[0].frames[:3], clips[0].masks[:3], "")
    with pytest.raises(InputError, match="the clips differ in size"):
        finetune(backend, [clips[0], short], QUICK, tmp_path)
    with pytest.raises(InputError, match="clip odd: frames are"):
        TrainingClip("odd", clips[0].frames, clips[0].masks[:, :32], "")
    with pytest.raises(PackError, match="holds no motion adapter"):
        load_adapter(tmp_path / "nothing")


@pytest.mark.slow
def test_one_clip_can_be_overfitted_and_a_learning_rate_of_nothing_cannot(tiny_pack):
    from mvmodel.world.render import random_clip

    render = random_clip((1, 5), frames=6, motion="gallop", objects=("horse",))
    clip = TrainingClip("horse", render.frames, render.masks, render.caption)
    quick = OVERFIT_CONFIG.model_copy(update={"steps": 40})
    result = overfit(load_backend(tiny_pack), clip, quick, report=lambda row: None)
    assert result.passed, result
    idle = quick.model_copy(update={"lr": 1e-12, "mask_lr": 1e-12, "steps": 4})
    assert not overfit(load_backend(tiny_pack), clip, idle, report=lambda row: None).passed
