"""Key masks, other shapes, other motions, by property."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks import edit as e
from mvmodel.masks.combine import combine, interpolate, replace_motion, replace_shape, resize
from mvmodel.masks.geometry import centroid
from mvmodel.masks.poses import Poses, estimate_poses, place_shape
from mvmodel.world.render import HELD_OUT, random_clip
from tests.masks.conftest import blob, sequences

quick = settings(max_examples=25, deadline=None, derandomize=True)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


@quick
@given(st.integers(0, 10**6), st.integers(0, 4), st.integers(5, 9))
def test_key_masks_come_out_as_they_went_in(seed, first, last) -> None:
    rng = np.random.default_rng(seed)
    keys = {first: blob(rng), last: blob(rng)}
    made = interpolate(keys, 11).masks
    for place, mask in keys.items():
        assert np.array_equal(made[place], mask)
    assert all(np.array_equal(frame, keys[first]) for frame in made[:first])
    assert all(np.array_equal(frame, keys[last]) for frame in made[last:])
    start, end = centroid(keys[first]), centroid(keys[last])
    for frame in range(first, last + 1):
        share = (frame - first) / (last - first)
        expected = np.add(np.multiply(1 - share, start), np.multiply(share, end))
        assert made[frame].any() and np.hypot(*np.subtract(centroid(made[frame]), expected)) < 2.5


def test_between_two_equal_shapes_it_only_moves() -> None:
    shape = blob(np.random.default_rng(1), margin=12)
    left, right = np.roll(shape, -8, axis=1), np.roll(shape, 8, axis=1)
    made = interpolate({0: left, 8: right}, 9)
    assert iou(made.masks[4], shape) > 0.97, "half-way it stands in the middle, whole"
    eased = interpolate({0: left, 8: right}, 9, easing=lambda share: share**2)
    assert centroid(eased.masks[4])[0] < centroid(made.masks[4])[0] - 2


@quick
@given(sequences(frames=(2, 4), objects=(1, 1)))
def test_a_shape_replaced_by_itself_stays_where_it_moves(sequence) -> None:
    shape = sequence.masks[0]
    x = np.linspace(0, 6, 4)
    moved = e.move(MaskSequence(np.repeat(shape[None], 4, axis=0)), x, -x)
    again = replace_shape(moved, shape)
    assert iou(again.masks, moved.masks) > 0.9


@quick
@given(sequences(frames=(1, 1)), sequences(), st.integers(-4, 4), st.integers(-4, 4))
def test_a_new_shape_keeps_way_and_first_size(first, other, dx, dy) -> None:
    sequence = e.move(e.loop(first, 4), np.round(np.linspace(0, dx, 4)), np.round(np.linspace(0, dy, 4)))
    changed = replace_shape(sequence, other.masks[0])
    for before, after in zip(sequence.per_instance, changed.per_instance, strict=True):
        assert after[0].sum() == pytest.approx(before[0].sum(), rel=0.25)
        for a, b in zip(before, after, strict=True):
            assert np.hypot(*np.subtract(centroid(a), centroid(b))) < 2.0
    assert changed.names == sequence.names


@quick
@given(sequences(), st.integers(-5, 5), st.integers(-5, 5))
def test_a_new_motion_keeps_the_shape_and_takes_the_way(sequence, dx, dy) -> None:
    share = np.linspace(0, 1, 5)
    still = MaskSequence(np.repeat(blob(np.random.default_rng(3))[None], 5, axis=0), 10.0)
    motion = e.move(still, np.round(dx * share), np.round(dy * share))
    moved = replace_motion(sequence, motion)
    assert (moved.frames, moved.fps) == (5, 10.0)
    for before, after in zip(sequence.per_instance, moved.per_instance, strict=True):
        assert np.array_equal(after[0], before[0])
        assert np.subtract(centroid(after[-1]), centroid(before[0])) == pytest.approx((dx, dy), abs=0.6)


@pytest.mark.parametrize("motion", ["gallop", "bounce", "spin", "grow", "fall"])
def test_poses_of_a_rendered_motion_lay_its_own_shape_back(motion) -> None:
    clip = random_clip((HELD_OUT, 40, 1), frames=8, side=96, motion=motion, objects=("car",), pan=0.0)
    laid = place_shape(clip.masks[0], estimate_poses(clip.masks), clip.masks.shape[1:])
    overlap = np.mean([iou(a, b) for a, b in zip(laid, clip.masks, strict=True)])
    print(f"{motion}: IoU {overlap:.3f} of the first shape laid by the poses of its own clip")
    assert overlap > 0.8


@quick
@given(sequences(frames=(3, 3)), sequences(frames=(3, 3)))
def test_combined_objects_are_all_there(a, b) -> None:
    b = MaskSequence.from_instances(b.per_instance, a.fps, b.names or ("",))
    both = combine(a, b)
    assert np.array_equal(both.masks, a.masks | b.masks)
    assert len(both.per_instance) == len(a.per_instance) + len(b.per_instance)


@quick
@given(sequences(), st.sampled_from([(80, 80), (20, 20), (40, 90), (33, 21)]))
def test_resize_keeps_coverage_of_what_is_shown(sequence, size) -> None:
    resized = resize(sequence, *size)
    assert resized.masks.shape[1:] == size
    factor = min(size) / 40
    assert resized.masks[0].sum() == pytest.approx(sequence.masks[0].sum() * factor**2, rel=0.1 if factor >= 1 else 0.4)


def test_mistakes_are_named() -> None:
    shape = blob(np.random.default_rng(0))
    sequence = MaskSequence(np.stack([shape] * 3))
    with pytest.raises(InputError, match="at least one key"):
        interpolate({}, 4)
    with pytest.raises(InputError, match="do not lie in"):
        interpolate({5: shape}, 4)
    with pytest.raises(InputError, match="of one size"):
        interpolate({0: shape, 1: shape[:9]}, 4)
    with pytest.raises(InputError, match="retime and resize"):
        combine(sequence, e.retime(sequence, 2))
    with pytest.raises(InputError, match="shape is empty"):
        replace_shape(sequence, np.zeros_like(shape))
    with pytest.raises(InputError, match="no motion to take"):
        replace_motion(sequence, MaskSequence(np.zeros((3, 8, 8), bool)))
    with pytest.raises(InputError, match="at least 1x1"):
        resize(sequence, 0, 8)
    with pytest.raises(InputError, match="arrays of one length"):
        Poses.broadcast([1, 2], 0.0).__class__(*(np.zeros(n) for n in (1, 2, 1, 1, 1)))
