"""Nearest motions: equal to comparing every clip with every other, at a fraction of the comparisons."""

import numpy as np
import pandas as pd
import pytest

from mvmodel.motion import grouping
from mvmodel.motion.descriptor import DESCRIPTOR_NAMES
from mvmodel.motion.distance import SPREAD, ClipDistances, compute_distances
from mvmodel.motion.grouping import group_clips
from mvmodel.motion.nearest_motions import NearestMotions


def _clips(count: int, motions: int, spread: float, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Descriptors of clips of some motions, and each clip's motion. spread: of the motions, in units of `SPREAD`."""
    random = np.random.default_rng(seed)
    motion = np.arange(count) % motions
    centres = random.normal(0, spread, (motions, len(DESCRIPTOR_NAMES)))
    values = (centres[motion] + random.normal(0, 0.6, (count, len(DESCRIPTOR_NAMES)))) * np.array(
        [SPREAD[name] for name in DESCRIPTOR_NAMES]
    )
    names = pd.Index([f"clip-{number}" for number in range(count)], name="clip")
    return pd.DataFrame(values, names, list(DESCRIPTOR_NAMES)), motion


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_the_nearest_motions_are_those_of_a_full_comparison(spread: float) -> None:
    descriptors, motion = _clips(60, 6, spread)
    members = {f"m{number}": np.flatnonzero(motion == number).tolist() for number in range(6)}
    table = compute_distances(descriptors)

    def reference(clip: int) -> list[tuple[float, str]]:
        return sorted(
            (float(np.mean(sorted(table[clip, [i for i in group if i != clip]])[:3])), name)
            for name, group in members.items()
        )

    search = NearestMotions(ClipDistances(descriptors), members, 3)
    for clip, ranked in enumerate(search.rank(range(60), 1.2)):
        within = [pair for pair in reference(clip) if pair[0] <= 1.2 * reference(clip)[0][0]]
        assert ranked[: len(within)] == within
    own = [f"m{number}" for number in motion]
    for clip, nearer in enumerate(search.find_nearer(range(60), [1.0] * 60, own)):
        best = next(pair for pair in reference(clip) if pair[1] != own[clip])
        assert nearer == best if best[0] < 1.0 else nearer is None or nearer[0] >= 1.0


def _count_comparisons(monkeypatch: pytest.MonkeyPatch, clips: int) -> int:
    """Pairs of clips that grouping compares, of motions with eight clips, half of them labelled."""
    descriptors, motion = _clips(clips, clips // 8, 3.0)
    labels = pd.Series([f"m{n}" if i < clips // 2 else "" for i, n in enumerate(motion)], descriptors.index)
    pairs, between = [], ClipDistances.between

    def count(self: ClipDistances, first: list[int], second: list[int]) -> np.ndarray:
        pairs.append(len(first) * len(second))
        return between(self, first, second)

    monkeypatch.setattr(ClipDistances, "between", count)
    groups = group_clips(descriptors, labels)
    monkeypatch.undo()
    assert len(groups.motions) == clips // 8 and (groups.table["motion"] != "").all()
    return sum(pairs)


def test_a_larger_catalogue_is_not_compared_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (_count_comparisons(monkeypatch, clips) for clips in (160, 640))
    assert large < 0.2 * 640**2
    assert large < 11 * small, "twice the comparisons of growth in proportion would be 8, all pairs would be 16"


def test_many_unlabelled_clips_are_clustered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors, motion = _clips(120, 5, 3.0)
    unlabelled = pd.Series("", descriptors.index)
    whole = group_clips(descriptors, unlabelled).table["motion"]
    monkeypatch.setattr(grouping, "MAX_CLUSTERED", 30)
    parts = group_clips(descriptors, unlabelled).table["motion"]
    for names in (whole, parts):
        assert len(set(zip(names, motion, strict=True))) == len(set(names)) == 5


def test_training_clips_of_a_large_motion_are_selected_from_labelled_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "MAX_CANDIDATES", 10)
    descriptors, _ = _clips(40, 1, 1.0)
    labels = pd.Series(["walk" if number % 2 else "" for number in range(40)], descriptors.index)
    table = group_clips(descriptors, labels).table
    assert table["selected"].sum() == 8 and set(table["source"][table["selected"]]) == {"label"}
