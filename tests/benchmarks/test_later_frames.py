"""The comparison of options for later frames: its settings, its figures of appearance and its table."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import later_frames
from mvmodel.backends.generation_config import GenerationConfig


@pytest.mark.parametrize("name", later_frames.SETTINGS)
def test_every_setting_is_a_valid_configuration(name):
    config = GenerationConfig(**later_frames.SAMPLER, **later_frames.SETTINGS[name])
    assert (config == GenerationConfig(**later_frames.SAMPLER)) == (name == later_frames.DEFAULT)


def test_appearance_is_compared_with_the_true_clip_and_with_frame_1():
    rng = np.random.default_rng(0)
    background = np.repeat(np.repeat(rng.integers(60, 200, (8, 8, 3), dtype=np.uint8), 8, axis=0), 8, axis=1)
    true, masks = np.repeat(background[None], 3, axis=0), np.zeros((3, 64, 64), bool)
    for index in range(3):
        masks[index, 20:40, 10 + 8 * index : 30 + 8 * index] = True
    true[masks] = (200, 30, 30)
    same = later_frames.compare_appearance(true, true, masks)
    assert same["colour_frame_2"] == same["object_error"] == 0 and same["object_change"] < 1
    assert same["object_sharpness"] == same["background_sharpness"] == 1
    other = true.copy()
    other[1:][masks[1:]] = (30, 30, 200)
    other[1:][~masks[1:]] //= 2
    changed = later_frames.compare_appearance(other, true, masks)
    assert changed["colour_frame_2"] > 5 and changed["object_error"] > 50 and changed["object_change"] > 50
    assert changed["background_sharpness"] < 0.9


def test_table_shows_paired_differences():
    rows = {f"default/{clip}": {"iou": 0.5 + 0.1 * clip, "pans": 0.0} for clip in range(2)}
    rows |= {"draft/0": {"iou": 0.7, "pans": 0.0}, "draft/1": {"iou": 0.8, "pans": 0.0}}
    rows |= {"draft/2": {"iou": 0.1, "pans": 1.0}}
    by_setting = {
        name: [{**row, "clip": float(key[-1])} for key, row in rows.items() if key.startswith(name) and not row["pans"]]
        for name in ("default", "draft")
    }
    lines = later_frames.format_table(by_setting, differences=True).splitlines()
    assert len(lines) == 3 and "+0.200 (+0.200 to +0.200)" in lines[2]
    assert "0.550" in later_frames.format_table(by_setting).splitlines()[2]
