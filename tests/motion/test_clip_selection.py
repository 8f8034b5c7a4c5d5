"""Selection from a large group: labelled clips first, then typical, then varied ones; outliers last; deterministic."""

import numpy as np

from mvmodel.motion.clip_selection import select_clips


def _distances(values: list[float]) -> np.ndarray:
    line = np.array(values)
    return np.abs(line[:, None] - line[None])


def test_the_typical_then_the_varied_and_no_outlier() -> None:
    values = [0.0, 0.1, 0.2, 0.5, 0.9, 1.0, 1.1, 9.0]
    names = [f"clip-{n}" for n in range(8)]
    reasons = select_clips(_distances(values), 5, [False] * 8, names)
    assert len(reasons) == 5 and 7 not in reasons, "the one that moves otherwise is left out"
    assert "most typical" in reasons[3]
    spread = max(values[i] for i in reasons) - min(values[i] for i in reasons)
    assert spread >= 1.0, "not five that are all alike"
    assert sum("variety" in reason for reason in reasons.values()) == 4


def test_labels_come_first_and_outliers_only_fill_up() -> None:
    values = [0.0, 0.1, 0.2, 5.0]
    reasons = select_clips(_distances(values), 3, [False, False, True, True], list("abcd"))
    assert {2, 3} <= set(reasons), "labelled clips are selected first"
    every = select_clips(_distances(values), 9, [False] * 4, list("abcd"))
    assert set(every) == {0, 1, 2, 3} and "enough" in every[3]
    assert select_clips(np.zeros((1, 1)), 8, [False], ["a"]) != {}


def test_the_order_of_the_clips_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=12).tolist()
    names = [f"clip-{n:02d}" for n in range(12)]
    selected = {names[i] for i in select_clips(_distances(values), 6, [False] * 12, names)}
    order = rng.permutation(12)
    mixed = select_clips(_distances([values[i] for i in order]), 6, [False] * 12, [names[i] for i in order])
    assert {names[order[i]] for i in mixed} == selected
