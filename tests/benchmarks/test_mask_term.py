"""The comparison of mask terms: what it tests on, and how its table is made."""

from __future__ import annotations

import json
from argparse import Namespace

import numpy as np
import pytest

from benchmarks import mask_term
from benchmarks.workers import run_in_processes
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.training_config import TrainConfig


def test_test_clips_are_apart_from_what_was_tuned_on():
    clips = mask_term.render_test_clips(12)
    assert [group for group, _ in clips[:2]] == ["trained motion", "new motion"]
    for group, clip in clips:
        assert not set(clip.objects) & set(mask_term.TRAINING_OBJECTS)
        assert (clip.motion == mask_term.MOTION) == (group == "trained motion")
        assert clip.masks.any(axis=(1, 2)).all()
    tuned = mask_term.render_training_clips(0)
    assert {clip.name for clip in tuned} == set(mask_term.TRAINING_OBJECTS)
    assert not np.array_equal(tuned[0].frames, mask_term.render_training_clips(1)[0].frames)


@pytest.mark.parametrize("name", [*mask_term.VARIANTS, *mask_term.EXTRA_VARIANTS])
def test_every_variant_is_a_valid_configuration(name):
    variant = mask_term.get_variant(name)
    TrainConfig(**(variant.train or {}))
    GenerationConfig(**variant.generate)


def test_table_gives_means_spread_and_shares_of_the_ceiling():
    groups = ["trained motion", "new motion"] * 2
    rows = [
        {"variant": "ceiling", "seed": 0, "group": groups, "iou": [0.8, 0.5, 0.8, 0.5]},
        {"variant": "a", "seed": 0, "group": groups, "iou": [0.4, 0.1, 0.6, 0.1]},
        {"variant": "a", "seed": 1, "group": groups, "iou": [0.2, 0.1, 0.4, 0.1]},
    ]
    line = mask_term.format_table(rows).splitlines()[3]
    trained_cell, new = "0.400 (0.300–0.500, seeds ±0.141) | 0.50 | ", "0.100 (0.100–0.100, seeds ±0.000) | 0.20 | "
    assert line == f"| a | 2 | {trained_cell} | {new} |"
    rows.append({"variant": mask_term.DEFAULT, "seed": 1, "group": groups, "iou": [0.5, 0.3, 0.3, 0.1]})
    cells = mask_term.format_table(rows).splitlines()[3].split(" | ")
    assert cells[4] == "-0.100 (-0.300 to +0.100)", "of seed 1 alone, clip by clip"
    assert cells[7] == "-0.100 (-0.200 to +0.000) |"
    assert all(len(line.split("|")) == 10 for line in mask_term.format_table(rows).splitlines())


def make_options(tmp_path, **changes):
    options = {"pack": "tiny", "clips": 4, "stride": 2, "out": tmp_path / "f.jsonl", "seeds": [0], "all": False}
    return Namespace(**{**options, "only": ["dropout"], "work": tmp_path / "work", "workers": 1, **changes})


def test_a_stopped_comparison_measures_what_is_missing(tmp_path, monkeypatch, tiny_pack):
    seen: list[tuple[str, int]] = []
    tuned: list[tuple[str, int]] = []

    def cell(pack, variant, seed, clips, judge, work):
        name = next(n for n in mask_term.select_variants(None, True) if mask_term.get_variant(n) is variant)
        assert variant.train is None or any(
            mask_term.get_variant(n).train == variant.train for n, s in tuned if s == seed
        )
        if name == "from start, mask dropout" and seed == 1 and not stopped:
            stopped.append(name)
            raise KeyboardInterrupt
        seen.append((name, seed))
        return [0.5] * len(clips)

    stopped: list[str] = []
    monkeypatch.setattr(mask_term, "measure_cell", cell)
    monkeypatch.setattr(
        mask_term, "tune_variant", lambda pack, variant, seed, work: tuned.append(name_of(variant, seed))
    )
    monkeypatch.setattr(mask_term, "measure_ceiling", lambda pack, clips, judge: [1.0] * len(clips))
    mask_term.measure(make_options(tmp_path))
    names = mask_term.select_variants(["dropout"], False)
    assert seen == [(name, 0) for name in names] and len(names) >= 3
    with pytest.raises(KeyboardInterrupt):
        mask_term.measure(make_options(tmp_path, seeds=[0, 1]))
    mask_term.measure(make_options(tmp_path, seeds=[0, 1]))
    assert sorted(seen) == sorted((name, seed) for name in names for seed in (0, 1)), "each once"
    rows = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert sum(row["variant"] == "ceiling" for row in rows) == 1
    assert mask_term.format_table(rows).count("1.000") == 2 * 3  # the ceiling's means and intervals


def name_of(variant, seed):
    return next(
        n for n in mask_term.select_variants(None, True) if mask_term.get_variant(n).train == variant.train
    ), seed


def test_variants_that_share_an_adapter_tune_it_once(tmp_path, monkeypatch, tiny_pack):
    tuned: list[str] = []
    monkeypatch.setattr(
        mask_term, "tune_variant", lambda pack, variant, seed, work: tuned.append(json.dumps(variant.train))
    )
    monkeypatch.setattr(mask_term, "measure_cell", lambda pack, variant, seed, clips, *more: [0.5] * len(clips))
    monkeypatch.setattr(mask_term, "measure_ceiling", lambda pack, clips, judge: [1.0] * len(clips))
    mask_term.measure(make_options(tmp_path, only=None))
    assert len(tuned) == len(set(tuned)) < len(mask_term.VARIANTS) - 3


def test_tasks_are_spread_over_processes_and_each_is_done_once():
    import os

    done = dict(run_in_processes(square, [(1,), (2,), (3,)], 2))
    assert {task[0]: value for task, (value, _) in done.items()} == {1: 1, 2: 4, 3: 9}
    assert os.getpid() not in {process for _, process in done.values()}
    assert list(run_in_processes(square, [(2,)], 1)) == [((2,), (4, os.getpid()))]


def square(number):
    import os

    return number**2, os.getpid()
