"""The comparison of bound and merged masks: its scenes, its judge, its table and its words."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import two_objects


def sides(clip) -> np.ndarray:
    """Column of each object's centre in the first and in the last frame."""
    return np.array([[np.nonzero(masks[frame])[1].mean() for frame in (0, -1)] for masks in clip.instances])


def test_scenes_differ_in_what_tells_the_objects_apart():
    named, swapped = two_objects.make_as_named(0, 8), two_objects.make_swapped(0, 8)
    assert np.array_equal(named.frames, swapped.frames) and np.array_equal(named.masks, swapped.masks)
    assert swapped.objects == named.objects[::-1] and swapped.caption != named.caption
    assert swapped.caption.index(swapped.objects[0]) < swapped.caption.index(swapped.objects[1])
    assert np.array_equal(swapped.instances[0], named.instances[1])
    assert (np.diff(sides(named), axis=0) > 0).all() and (np.diff(sides(swapped), axis=0) < 0).all()
    crossing = sides(two_objects.make_crossing(0, 8))
    assert (crossing[0, 0] - crossing[1, 0]) * (crossing[0, 1] - crossing[1, 1]) < 0, "they change sides"
    assert two_objects.make_alike(0, 8).objects == two_objects.ALIKE[0]
    assert two_objects.make_alike(1, 8).objects == two_objects.ALIKE[1][::-1]


@pytest.mark.parametrize("scene", two_objects.SCENES)
def test_every_object_is_to_be_seen_in_every_frame(scene):
    for number in range(12):
        clip = two_objects.SCENES[scene](number, 6)
        assert clip.instances.any(axis=(2, 3)).all() and all(word in clip.caption for word in clip.objects)


def test_an_object_is_in_place_over_its_own_mask_and_no_other():
    assert two_objects.are_in_place(np.array([[0.6, 0.1], [0.0, 0.5]]), 0.3)
    assert not two_objects.are_in_place(np.array([[0.6, 0.1], [0.0, 0.2]]), 0.3)
    assert not two_objects.are_in_place(np.array([[0.4, 0.5], [0.5, 0.6]]), 0.3)


def test_what_is_said_follows_from_the_rows():
    right, wrong = np.array([[0.6, 0.1], [0.1, 0.6]]), np.array([[0.1, 0.6], [0.6, 0.1]])
    found = {
        ("swapped", "bound"): [right] * 6,
        ("swapped", "merged"): [wrong] * 6,
        ("as named", "bound"): [right, wrong],
        ("as named", "merged"): [wrong, right],
        ("alike", "bound"): [wrong] * 4,
        ("alike", "merged"): [right] * 4,
        ("crossing", "bound"): [right],
    }
    lines = two_objects.format_statement(found, 0.3).splitlines()
    assert lines[0].startswith("swapped: 100% of 6 videos bound, 0% merged (difference +1.00")
    assert [line.rsplit(": ", 1)[1] for line in lines] == [
        "binding puts more objects in place.",
        "no difference that these videos show.",
        "binding puts fewer objects in place.",
    ]
    assert "| swapped | merged | 6 | 0.00 (0.00–0.00) | 0.10 (0.10–0.10) |" in two_objects.format_table(found, 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("scene", two_objects.SCENES)
def test_true_clips_of_two_objects_are_in_place(tiny_pack, scene):
    """The judge tells the objects apart, or the figure would say nothing."""
    clips = [two_objects.SCENES[scene](number, 8) for number in range(4)]
    tables = [two_objects.compute_overlaps(tiny_pack, clip.frames, clip, 3) for clip in clips]
    assert np.mean([two_objects.are_in_place(table, 0.3) for table in tables]) >= 0.75
    assert not any(two_objects.are_in_place(table[::-1], 0.3) for table in tables)


@pytest.mark.slow
def test_cells_are_made_once(tiny_pack, tmp_path, monkeypatch, capsys):
    file = tmp_path / "two.jsonl"

    def run() -> str:
        options = ["--videos", "1", "--seeds", "0", "--frames", "4", "--scenes", "swapped", "--workers", "1"]
        monkeypatch.setattr(sys, "argv", ["two_objects", "--out", str(file), *options])
        two_objects.main()
        return capsys.readouterr().out

    first, size = run(), file.stat().st_size
    assert run() == first and file.stat().st_size == size
    assert all(setting in first for setting in (*two_objects.CONDITIONS, two_objects.TRUE_CLIPS))
