"""Edits by property: what undoes what, what stays, what grows, and that no edit touches its input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks import edit as e
from mvmodel.masks.geometry import centroid
from tests.masks.conftest import SIDE, sequences

quick = settings(max_examples=25, deadline=None, derandomize=True)
steps = st.integers(-6, 6)


def same(a: MaskSequence, b: MaskSequence) -> bool:
    return np.array_equal(a.per_instance, b.per_instance) and a.names == b.names and a.fps == b.fps


def iou(a: MaskSequence, b: MaskSequence) -> float:
    return float((a.masks & b.masks).sum() / max(1, (a.masks | b.masks).sum()))


@quick
@given(sequences(), steps, steps)
def test_move_there_and_back_is_nothing(sequence, dx, dy) -> None:
    moved = e.move(sequence, dx, dy)
    assert same(e.move(moved, -dx, -dy), sequence)
    assert moved.masks.sum() == sequence.masks.sum()
    x, y = centroid(sequence.masks[0])
    assert centroid(moved.masks[0]) == pytest.approx((x + dx, y + dy))


@quick
@given(sequences(), st.integers(-90, 90), st.integers(-90, 90))
def test_what_leaves_the_picture_is_cut_off_or_kept(sequence, dx, dy) -> None:
    clipped = e.move(sequence, dx, dy)
    assert clipped.masks.shape == sequence.masks.shape
    assert clipped.masks.sum() <= sequence.masks.sum()
    assert e.move(sequence, dx, dy, outside="keep").masks.sum() == sequence.masks.sum()


@quick
@given(sequences(), st.sampled_from(["x", "y"]))
def test_flip_twice_is_nothing_and_mirrors_the_centre(sequence, axis) -> None:
    flipped = e.flip(sequence, axis)
    assert same(e.flip(flipped, axis), sequence)
    (x, y), place = centroid(sequence.masks[0]), centroid(flipped.masks[0])
    assert place == pytest.approx((SIDE - 1 - x, y) if axis == "x" else (x, SIDE - 1 - y))


@quick
@given(sequences(), st.floats(0.7, 1.4))
def test_scale_changes_the_area_by_its_square_and_keeps_the_centre(sequence, factor) -> None:
    scaled = e.scale(sequence, factor)
    for before, after in zip(sequence.per_instance[:, 0], scaled.per_instance[:, 0], strict=True):
        expected = before.sum() * factor**2
        assert abs(after.sum() - expected) <= 0.1 * expected + np.sqrt(expected), "about a pixel along the outline"
        assert np.hypot(*np.subtract(centroid(before), centroid(after))) < 1.0
    assert same(e.scale(sequence, 1.0), sequence)


@quick
@given(sequences(), st.floats(-180, 180))
def test_rotate_keeps_area_and_centre_and_turns_back(sequence, degrees) -> None:
    turned = e.rotate(sequence, degrees)
    for before, after in zip(sequence.per_instance[:, 0], turned.per_instance[:, 0], strict=True):
        assert abs(after.sum() - before.sum()) <= 0.05 * before.sum() + np.sqrt(before.sum())
        assert np.hypot(*np.subtract(centroid(before), centroid(after))) < 1.0
    assert iou(e.rotate(turned, -degrees), sequence) > 0.85
    assert same(e.rotate(sequence, 0.0), sequence)


def test_rotate_turns_counter_clockwise() -> None:
    bar = np.zeros((1, 40, 40), bool)
    bar[:, 19:22, 10:31] = True
    turned = e.rotate(MaskSequence(bar), 45).masks[0]
    rows, columns = np.nonzero(turned)
    assert rows[columns > 24].mean() < 18, "the right end goes up"


@quick
@given(sequences(), st.integers(1, 12), st.booleans())
def test_retime_keeps_both_ends(sequence, frames, smooth) -> None:
    again = e.retime(sequence, frames, smooth=smooth)
    assert again.frames == frames and again.names == sequence.names
    assert np.array_equal(again.masks[0], sequence.masks[0])
    if frames > 1:
        assert np.array_equal(again.masks[-1], sequence.masks[-1])
    assert same(e.retime(sequence, sequence.frames, smooth=smooth), sequence)


@quick
@given(sequences(frames=(3, 5)))
def test_speed_halves_or_doubles_the_frames(sequence) -> None:
    assert e.retime(sequence, speed=0.5).frames == 2 * sequence.frames - 1
    assert same(e.retime(e.retime(sequence, speed=0.5), speed=2.0), sequence)


@quick
@given(sequences(), st.integers(1, 4))
def test_loop_repeats_and_turns(sequence, times) -> None:
    plain = e.loop(sequence, times)
    assert plain.frames == times * sequence.frames
    assert np.array_equal(plain.masks[-sequence.frames :], sequence.masks)
    there = e.loop(sequence, times, there_and_back=True)
    assert there.frames == times * (sequence.frames - 1) + 1 if sequence.frames > 1 else times
    if times == 2:
        assert np.array_equal(there.masks, there.masks[::-1])
    assert same(e.reverse(e.reverse(sequence)), sequence)


@quick
@given(sequences(frames=(2, 5)), st.data())
def test_cut_and_join_is_the_whole(sequence, data) -> None:
    at = data.draw(st.integers(1, sequence.frames - 1))
    parts = e.cut(sequence, 0, at).masks, e.cut(sequence, at).masks
    assert np.array_equal(np.concatenate(parts), sequence.masks)


@quick
@given(sequences(), steps, steps)
def test_duplicate_then_remove_gives_back_the_objects(sequence, dx, dy) -> None:
    doubled = e.duplicate(sequence, dx, dy)
    count = len(sequence.per_instance)
    assert len(doubled.per_instance) == 2 * count
    assert np.array_equal(doubled.per_instance[:count], sequence.per_instance)
    assert np.array_equal(doubled.masks, sequence.masks | e.move(sequence, dx, dy).masks)
    for _ in range(count):
        doubled = e.remove(doubled, len(doubled.per_instance) - 1)
    assert np.array_equal(doubled.per_instance, sequence.per_instance)


@quick
@given(sequences(), st.floats(0, 3), st.floats(0, 3))
def test_erode_and_dilate_are_monotone_and_enclose(sequence, small, more) -> None:
    a, b = e.erode(sequence, small + more).masks, e.erode(sequence, small).masks
    c, d = e.dilate(sequence, small).masks, e.dilate(sequence, small + more).masks
    for inner, outer in ((a, b), (b, sequence.masks), (sequence.masks, c), (c, d)):
        assert not (inner & ~outer).any()
    assert same(e.erode(sequence, 0), sequence) and same(e.dilate(sequence, 0), sequence)


@quick
@given(sequences(frames=(3, 5)), st.floats(0, 1.5), st.floats(0, 1.5))
def test_smooth_changes_little_and_nothing_at_zero(sequence, pixels, frames) -> None:
    assert same(e.smooth(sequence, 0, 0), sequence)
    still = MaskSequence(np.repeat(sequence.masks[:1], 4, axis=0))
    assert iou(e.smooth(still, 0.0, frames), still) > 0.97, "what stands still has nothing to smooth in time"
    assert iou(e.smooth(still, pixels), still) > 0.7


def test_smooth_in_time_takes_flicker_out_and_keeps_the_way() -> None:
    square = np.zeros((9, 40, 60), bool)
    for frame in range(9):
        grown = 2 if frame == 4 else 0
        square[frame, 12 - grown : 24 + grown, 4 + 4 * frame - grown : 16 + 4 * frame + grown] = True
    smoothed = e.smooth(MaskSequence(square), 0, 1.0)
    areas = smoothed.masks.sum(axis=(1, 2))
    assert np.ptp(areas) < 0.75 * np.ptp(square.sum(axis=(1, 2)))
    assert [centroid(mask)[0] for mask in smoothed.masks] == pytest.approx([9.5 + 4 * f for f in range(9)], abs=0.6)


@quick
@given(sequences(frames=(3, 5)), steps, steps)
def test_a_pan_moves_everything_against_the_camera(sequence, dx, dy) -> None:
    panned = e.pan(sequence, dx, dy)
    assert np.array_equal(panned.masks[0], sequence.masks[0])
    assert np.array_equal(panned.masks[-1], e.move(sequence, -dx, -dy).masks[-1])


@quick
@given(sequences(frames=(3, 3), objects=(2, 2)), st.sampled_from(sorted(e.EDITS)))
def test_every_edit_leaves_its_input_alone(sequence, name) -> None:
    before = sequence.per_instance.copy()
    options = {"retime": {"frames": 4}, "cut": {"end": 2}}.get(name, {})
    changed = e.EDITS[name](sequence, **options)
    assert np.array_equal(sequence.per_instance, before)
    assert np.array_equal(changed.masks, np.logical_or.reduce(changed.per_instance))


@pytest.mark.parametrize(
    ("edit", "options", "sentence"),
    [
        ("move", {"dx": [1, 2]}, "one a frame"),
        ("move", {"dx": float("nan")}, "finite"),
        ("scale", {"factor": 0}, "above 0"),
        ("scale", {"factor": 9, "outside": "keep"}, "does not fit"),
        ("flip", {"axis": "z"}, '"x" or "y"'),
        ("retime", {}, "either"),
        ("retime", {"speed": -1}, "above 0"),
        ("retime", {"frames": 0}, "at least 1"),
        ("loop", {"times": 0}, "at least once"),
        ("cut", {"start": 3}, "frames 3 to 3"),
        ("remove", {"instance": 0}, "one object only"),
        ("remove", {"instance": "cow"}, "no instance"),
        ("erode", {"pixels": -1}, "0 or more"),
    ],
)
def test_mistakes_are_named(edit, options, sentence) -> None:
    square = np.zeros((3, 20, 20), bool)
    square[:, 6:12, 6:12] = True
    with pytest.raises(InputError, match=sentence):
        e.EDITS[edit](MaskSequence(square), **options)
