from __future__ import annotations

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.metrics import appearance
from mvmodel.world.render import HELD_OUT, random_clip

CONVENTIONS = (
    appearance.consistency,
    appearance.consistency_adjacent,
    appearance.consistency_first,
    appearance.consistency_vbench,
)


def test_consistency_is_the_mean_over_pairs_written_out(clip, scorer):
    embeddings = scorer.images(clip.frames)
    pairs = [embeddings[i] @ embeddings[j] for i in range(len(embeddings)) for j in range(i + 1, len(embeddings))]
    assert appearance.consistency(embeddings) == pytest.approx(np.mean(pairs), abs=1e-6)


def test_a_frozen_video_reaches_one_in_every_consistency(clip, scorer):
    frozen = scorer.images(np.repeat(clip.frames[:1], 6, axis=0))
    for convention in CONVENTIONS:
        assert convention(frozen) == pytest.approx(1, abs=1e-6)


def test_consistency_falls_when_the_object_or_the_place_changes(clip, scorer):
    whale = random_clip((HELD_OUT, 13, 3), frames=10, motion="glide", objects=("whale",), background="night", pan=0)
    mixed = np.concatenate([clip.frames[:5], whale.frames[5:]])
    true, changed = scorer.images(clip.frames), scorer.images(mixed)
    for convention in CONVENTIONS:
        assert convention(true) > convention(changed) + 0.05, convention.__name__


def test_shuffling_moves_the_adjacent_convention_only(clip, scorer):
    embeddings = scorer.images(clip.frames)
    shuffled = embeddings[[0, 9, 1, 8, 2, 7, 3, 6, 4, 5]]
    assert appearance.consistency(shuffled) == pytest.approx(appearance.consistency(embeddings), abs=1e-6)
    assert appearance.consistency_adjacent(shuffled) < appearance.consistency_adjacent(embeddings)


def test_one_frame_has_no_consistency():
    with pytest.raises(InputError, match="two or more"):
        appearance.consistency(np.ones((1, 4)))


def test_alignment_prefers_the_right_word(scorer):
    sprite_like = scorer.texts(["a car"])
    car, whale = scorer.texts(["a car", "a whale"])
    assert appearance.alignment(sprite_like, car) == pytest.approx(1, abs=1e-6)
    assert appearance.alignment(sprite_like, whale) < 0.95


def test_colour_drift_ignores_the_object_and_sees_a_tint(clip):
    assert appearance.colour_drift(clip.frames, clip.masks) < 1.0  # only blended edges are left
    assert appearance.colour_drift(clip.frames) > appearance.colour_drift(clip.frames, clip.masks)
    fading = clip.frames.astype(float)
    fading[..., 0] += np.linspace(0, 60, len(fading))[:, None, None]
    drifting = np.clip(fading, 0, 255).astype(np.uint8)
    assert appearance.colour_drift(drifting, clip.masks) > 5


def test_colour_drift_is_in_cielab_units():
    black_then_white = np.zeros((2, 8, 8, 3), np.uint8)
    black_then_white[1] = 255
    assert appearance.colour_drift(black_then_white) == pytest.approx(100, abs=0.1)


def test_colour_drift_without_background_is_not_a_number(clip):
    assert np.isnan(appearance.colour_drift(clip.frames, np.ones(clip.frames.shape[:3], bool)))


def test_vbench_consistency_written_out_and_never_negative(clip, scorer):
    rows = scorer.images(clip.frames)
    terms = [
        (max(0, rows[t] @ rows[t - 1]) + max(0, rows[t] @ rows[0])) / 2 for t in range(1, len(rows))
    ]  # fmt: skip
    assert appearance.consistency_vbench(rows) == pytest.approx(np.mean(terms), abs=1e-6)
    assert appearance.consistency_vbench(np.array([[1.0, 0], [-1.0, 0]])) == 0


def test_diversity_ceiling_and_floor(clip, elsewhere, scorer):
    whale = random_clip((HELD_OUT, 14, 3), frames=10, motion="glide", objects=("whale",), background="night", pan=0)
    same, near, far = (scorer.images(video.frames) for video in (clip, elsewhere, whale))
    assert appearance.diversity([same, same]) == pytest.approx(1, abs=1e-6)
    assert appearance.diversity([same, near]) > appearance.diversity([same, far])
    by_hand = [rows.mean(axis=0) / np.linalg.norm(rows.mean(axis=0)) for rows in (same, near, far)]
    pairs = [by_hand[0] @ by_hand[1], by_hand[0] @ by_hand[2], by_hand[1] @ by_hand[2]]
    assert appearance.diversity([same, near, far]) == pytest.approx(np.mean(pairs), abs=1e-5)
    with pytest.raises(InputError, match="two or more"):
        appearance.diversity([same])


def test_the_background_alone_has_one_hole_for_the_whole_video(clip):
    background = appearance.without_foreground(clip.frames, clip.masks)
    ever = clip.masks.any(axis=0)
    assert (background[:, ever] == appearance.GREY).all()
    assert (background[:, ~ever] == clip.frames[:, ~ever]).all()
    assert appearance.without_foreground(clip.frames, np.ones_like(clip.masks)) is None
