"""The check of packs with an open vocabulary: what it measures, chooses, advises and writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.foundation import open_pack_quality
from mvmodel.foundation.few_shot_quality import render_test_clips
from mvmodel.foundation.open_pack_quality import (
    CONTROL_SCALES,
    CheckSize,
    can_recommend,
    check_open_pack,
    choose_control,
    fit_render,
    list_advice,
    write_recommendation,
)
from mvmodel.packs import load_pack
from mvmodel.picture_size import PictureSize

GOOD = {
    "picture_contrast": 40.0,
    "text_alignment": 0.3,
    "text_alignment_other_prompts": 0.2,
    "segmenter_iou": 0.9,
    "control_iou": 0.8,
    "mask_gain": 0.3,
}
SMALLEST = CheckSize(pictures=1, videos=1, training_steps=1, training_clips=1)


def test_a_pack_is_measured_and_its_settings_written(small_pack_folder: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(open_pack_quality, "CONTROL_SCALES", (1.0,))
    folder = shutil.copytree(small_pack_folder, tmp_path / "pack")
    description = json.loads((folder / "pack.json").read_text()) | {"control": "canny"}
    (folder / "pack.json").write_text(json.dumps(description))
    pack = load_pack(folder)
    result = check_open_pack(pack, SMALLEST, GenerationConfig(steps=1, first_frame_steps=1))
    assert set(GOOD) | {"tuned_iou", "tuned_iou_without_mask_term"} == set(result["quality"])
    assert set(result["control"]) == {"mask", "scribble", "softedge", "segmentation", "canny"}
    assert all(np.isfinite(value) for value in result["quality"].values())
    assert result["advice"]  # the weights are random
    write_recommendation(folder, result)
    changed = load_pack(folder).info
    assert changed.control == result["recommended"]["control"] == "canny", "ranks of random weights are chance"
    assert changed.generation.control_scale == result["recommended"]["control_scale"] == 1.0
    assert changed.quality["control_iou"] == result["quality"]["control_iou"]
    assert changed.hashes == pack.info.hashes and changed.size == pack.info.size
    assert json.loads((folder / "pack.json").read_text())["random"]


def test_renders_are_fitted_to_a_wide_pack(small_pack_folder: Path):
    pack = load_pack(small_pack_folder, size=PictureSize(192, 64))
    clip = fit_render(render_test_clips(2, 1)[0], pack)
    assert clip.frames.shape == (2, 64, 192, 3) and clip.masks.shape == (2, 64, 192)
    assert clip.masks.any() and not clip.masks[:, :, :64].any() and not clip.masks[:, :, 128:].any()


def test_the_best_control_is_chosen_and_the_usual_strength_preferred():
    flat = {str(scale): 0.5 for scale in CONTROL_SCALES}
    assert choose_control({"mask": flat, "canny": {"1.0": None}}) == ("mask", 1.0)
    assert choose_control({"mask": flat, "softedge": flat | {"1.4": 0.6}}) == ("softedge", 1.4)


def test_a_judge_that_sees_nothing_recommends_nothing():
    assert can_recommend(GOOD)
    assert not can_recommend(GOOD | {"segmenter_iou": 0.1}) and not can_recommend(GOOD | {"control_iou": 0.0})
    assert "its control settings stay" in list_advice(GOOD | {"segmenter_iou": 0.1}, "scribble", "scribble")[0]


def test_nothing_is_advised_if_all_is_well():
    assert list_advice(GOOD, "scribble", "scribble") == []


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ({"picture_contrast": 0.0}, "half precision overflowed"),
        ({"text_alignment_other_prompts": 0.3}, "--v-prediction"),
        ({"segmenter_iou": 0.2}, "larger segment-anything model"),
        ({"control_iou": 0.1}, "download a ControlNet"),
        ({"mask_gain": 0.0}, "raise training.mask_lr"),
    ],
)
def test_every_fault_has_its_advice(fault: dict[str, float], advice: str):
    sentences = list_advice(GOOD | fault, "scribble", "scribble")
    assert len(sentences) == 1 and advice in sentences[0]


def test_a_controlnet_of_another_kind_is_suspected():
    assert "follows canny better than scribble" in list_advice(GOOD, "scribble", "canny")[0]
