"""The comparison of options for later frames: its settings, its figures of appearance and its table."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from benchmarks import later_frames, later_frames_videos
from benchmarks.later_frames_settings import NEUTRAL, PLAIN, SETTINGS
from benchmarks.sampling import SAMPLER
from benchmarks.workers import run_in_two_stages
from mvmodel.backends.generation_config import GenerationConfig


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_a_valid_configuration(name):
    config = GenerationConfig(**SAMPLER, **SETTINGS[name])
    assert (config == GenerationConfig(**SAMPLER, **NEUTRAL)) == (name == PLAIN)


def test_appearance_is_compared_with_the_true_clip_and_with_frame_1():
    rng = np.random.default_rng(0)
    background = np.repeat(np.repeat(rng.integers(60, 200, (8, 8, 3), dtype=np.uint8), 8, axis=0), 8, axis=1)
    true, masks = np.repeat(background[None], 3, axis=0), np.zeros((3, 64, 64), bool)
    for index in range(3):
        masks[index, 20:40, 10 + 8 * index : 30 + 8 * index] = True
    true[masks] = (200, 30, 30)
    same = later_frames_videos.compare_appearance(true, true, masks)
    assert same["colour_frame_2"] == same["object_error"] == 0 and same["object_change"] < 1
    assert same["object_sharpness"] == same["background_sharpness"] == 1
    other = true.copy()
    other[1:][masks[1:]] = (30, 30, 200)
    other[1:][~masks[1:]] //= 2
    changed = later_frames_videos.compare_appearance(other, true, masks)
    assert changed["colour_frame_2"] > 5 and changed["object_error"] > 50 and changed["object_change"] > 50
    assert changed["background_sharpness"] < 0.9


def test_tables_show_groups_apart_and_paired_differences():
    def row(name, clip, iou, group="still"):
        return later_frames.compose_key("start", name, "rigid", clip), {"iou": iou, "group": group}

    rows = dict([row(PLAIN, 0, 0.5), row(PLAIN, 1, 0.6), row("draft", 0, 0.7), row("draft", 1, 0.8)])
    rows |= dict([row("draft", 2, 0.1, "panning")])
    rows["start/draft/otherwise/rigid/0"] = {"iou": 0.0, "group": "still"}
    by_setting = later_frames.group_rows(rows, "start", "still", [PLAIN, "draft"])
    lines = later_frames.format_table(by_setting, PLAIN).splitlines()
    assert len(lines) == 3 and "+0.200 (+0.200 to +0.200)" in lines[2]
    assert "0.550" in later_frames.format_table(by_setting).splitlines()[2]
    assert len(later_frames.group_rows(rows, "start", "panning", [PLAIN, "draft"])["draft"]) == 1


def test_batches_hold_clips_of_still_cameras_in_order(monkeypatch):
    monkeypatch.setattr(later_frames, "read_camera", lambda kind, count, development, n: np.full((2, 2), n == 1))
    options = argparse.Namespace(clips=5, articulated=0, development=False, batch=3)
    cells = [("start", name, "rigid", n) for name in (PLAIN, "draft") for n in range(5)]
    numbers = [(name, clips) for _, name, _, clips in later_frames.plan_batches(cells, options)]
    assert numbers == [
        (PLAIN, [0, 2, 3]),
        (PLAIN, [1]),
        (PLAIN, [4]),
        ("draft", [0, 2, 3]),
        ("draft", [1]),
        ("draft", [4]),
    ]


def halve(number: int) -> list[tuple[str, tuple[float]]]:
    return [(str(number), (1 / number,)), (f"{number}b", (0.5 / number,))]


def double(value: float) -> float:
    return 2 * value


def test_two_stages_give_all_results_but_those_that_fail(capfd):
    results = {}
    with pytest.raises(RuntimeError, match="1 measurements failed"):
        stages = run_in_two_stages(halve, double, [(2,), (0,), (4,)], generators=1, judges=1, prepare=int)
        for key, value in stages:
            results[key] = value
    assert results == {"2": 1.0, "2b": 0.5, "4": 0.5, "4b": 0.25} and "ZeroDivisionError" in capfd.readouterr().err
