"""The ladder of memory plans: which is chosen, what each changes, and what happens when memory runs out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.load import load_backend
from mvmodel.backends.out_of_memory import retry_with_less_memory
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.errors import InputError
from mvmodel.packs import load_pack, memory
from mvmodel.packs.info import PackInfo
from mvmodel.packs.memory import LADDER, REFERENCE_UNET_BYTES, choose_plan, measure_free_gb, next_plan
from mvmodel.packs.sources import PACK_DESCRIPTIONS
from mvmodel.training.finetune import finetune
from mvmodel.training.loop import _Run

TRAINING = TrainConfig(steps=2, warmup=0, init_from=None, flip=False, mask_width=4, checkpoint_every=1, precision="no")
SD15 = PackInfo.model_validate(PACK_DESCRIPTIONS["sd15"])


def set_free_memory(monkeypatch: pytest.MonkeyPatch, gigabytes: float) -> None:
    monkeypatch.setattr(memory, "measure_free_gb", lambda device: gigabytes)


def clip() -> TrainingClip:
    frames = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    masks = np.zeros((3, 64, 64), bool)
    masks[:, 16:48, 16:48] = True
    return TrainingClip("clip", frames, masks, "a horse runs")


@pytest.mark.parametrize("card", [8, 12, 16, 24])
def test_a_card_gets_the_plan_that_is_named_after_it(monkeypatch: pytest.MonkeyPatch, card: int):
    set_free_memory(monkeypatch, 0.9 * card)  # a desktop and the context take some
    assert choose_plan("auto", SD15, int(REFERENCE_UNET_BYTES), "cuda").level == f"{card}gb"


def test_small_models_need_no_saving(monkeypatch: pytest.MonkeyPatch, tiny_pack, small_pack):
    set_free_memory(monkeypatch, 1.0)
    for pack in (load_pack(tiny_pack.folder), small_pack):
        assert pack.memory is LADDER[0]


def test_a_cpu_without_enough_memory_is_said_beforehand(monkeypatch: pytest.MonkeyPatch):
    set_free_memory(monkeypatch, 3.0)
    with pytest.raises(InputError, match=r"sd15 needs about \d+ GiB .* 16 frames of 512x320, and 3.0 GiB are free"):
        choose_plan("auto", SD15, int(REFERENCE_UNET_BYTES), "cpu")
    assert choose_plan("8gb", SD15, int(REFERENCE_UNET_BYTES), "cpu").level == "8gb"
    assert choose_plan("auto", SD15, int(REFERENCE_UNET_BYTES), "cuda").level == "8gb"


def test_an_unknown_plan_is_refused():
    with pytest.raises(InputError, match="memory '6gb' is not one of auto, 24gb, 16gb, 12gb, 8gb"):
        choose_plan("6gb", SD15, 1, "cpu")


def test_every_plan_saves_at_least_as_much_as_the_one_before():
    switches = ("gradient_checkpointing", "offload", "vae_slicing", "half_precision_unet", "vae_tiling")
    for plan in LADDER[:-1]:
        below = next_plan(plan)
        assert below is not None
        assert all(getattr(below, name) >= getattr(plan, name) for name in switches)
        for device in ("cuda", "cpu"):
            needs = [step.required_gb(SD15, int(REFERENCE_UNET_BYTES), device) for step in (below, plan)]
            assert needs[0] < needs[1]
    assert next_plan(LADDER[-1]) is None


def test_generation_skips_plans_that_only_change_training():
    plans = {plan.level: plan for plan in LADDER}
    below = {level: next_plan(plan, training=False) for level, plan in plans.items()}
    assert below == {"24gb": plans["12gb"], "16gb": plans["12gb"], "12gb": plans["8gb"], "8gb": None}


def test_a_video_that_runs_out_of_memory_takes_a_plan_that_changes_it(small_pack_folder: Path, monkeypatch, capsys):
    backend = load_backend(load_pack(small_pack_folder))
    levels = []

    def generate(*_: object, **__: object) -> tuple[str, str]:
        levels.append(backend.memory_level)
        if len(levels) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return "pictures", "latents"

    monkeypatch.setattr("mvmodel.backends.image_unet.backend.generate_first_latents", generate)
    assert backend.first_frames(["a horse"], clip().masks[:1], [0], GenerationConfig()) == "pictures"
    assert levels == ["24gb", "12gb"]
    assert "first frames: memory ran out; trying once more with memory plan 12gb" in capsys.readouterr().err


def test_free_memory_respects_a_containers_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    limit, used = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(memory, "CPU_GROUP_FILES", ((limit, used),))
    limit.write_text("max\n")
    used.write_text("0\n")
    assert measure_free_gb("cpu") > 0.1
    limit.write_text(f"{2**30}\n")
    used.write_text(f"{2**29}\n")
    assert measure_free_gb("cpu") <= 0.5


def test_the_smallest_plan_trains_and_generates_like_the_largest(small_pack_folder: Path, tmp_path: Path):
    results = {}
    for plan in (LADDER[0], LADDER[-1]):
        backend = load_backend(load_pack(small_pack_folder, memory=plan.level))
        adapter = finetune(backend, [clip()], TRAINING, tmp_path / plan.level, report=lambda row: None)
        config = GenerationConfig(steps=2, first_frame_steps=1)
        first = backend.first_frames(["a horse"], clip().masks[:1], [0], config)
        video = backend.sample(adapter, "a horse", clip().masks, first[0], config, 0)
        results[plan.level] = (first, video)
        assert backend.memory_level == plan.level
    largest, smallest = results.values()
    for one, other in zip(largest, smallest, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 2


def test_training_goes_on_from_its_checkpoint_when_memory_runs_out(
    small_pack_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    original, steps = _Run.train_step, []

    def train_step(run: _Run, batch: object) -> None:
        steps.append(run.step)
        if steps == [0, 1]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        original(run, batch)

    monkeypatch.setattr(_Run, "train_step", train_step)
    backend = load_backend(load_pack(small_pack_folder))
    finetune(backend, [clip()], TRAINING, tmp_path, report=lambda row: None)
    assert steps == [0, 1, 1]
    assert backend.memory_level == LADDER[1].level
    assert "training: memory ran out; trying once more with memory plan 16gb" in capsys.readouterr().err


def test_a_plan_that_the_user_names_is_kept(small_pack_folder: Path):
    pack = load_pack(small_pack_folder, memory="16gb")
    assert pack.step_down_memory() is None and pack.memory.level == "16gb"


def test_memory_that_runs_out_twice_is_one_sentence():
    def work() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(InputError, match=r"video: memory ran out \(CUDA out of memory.\); use a smaller size"):
        retry_with_less_memory("video", work, lambda: "memory plan 8gb")
    with pytest.raises(InputError, match="memory ran out"):
        retry_with_less_memory("video", work, lambda: None)
    with pytest.raises(ZeroDivisionError):
        retry_with_less_memory("video", lambda: 1 / 0, lambda: "memory plan 8gb")


def test_attention_scores_are_counted_by_layer(small_pack):
    backend = load_backend(small_pack)
    unet = small_pack.unet()
    counts: list[int] = []

    def count(module, inputs, options) -> None:
        tokens = inputs[0].shape[1]
        counts.append(module.heads * len(inputs[0]) * tokens**2)

    for name, module in unet.named_modules():
        if name.endswith(".attn1"):
            module.register_forward_pre_hook(count, with_kwargs=True)
    unet(torch.zeros(3, 4, 8, 16), 0, torch.zeros(3, 77, 32))
    assert backend.attention_bytes(3, 64, 128) == 4 * sum(counts)


def test_a_plan_that_does_not_exist_is_refused_before_anything_is_loaded(small_pack_folder):
    with pytest.raises(InputError, match="memory '10gb' is not one of auto, 24gb, 16gb, 12gb, 8gb"):
        load_pack(small_pack_folder, memory="10gb")
