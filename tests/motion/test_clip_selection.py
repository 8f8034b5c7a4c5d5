"""Of a large group the typical, then the varied; outliers last, labels first, and always the same ones."""

import numpy as np

from mvmodel.motion.clip_selection import select_clips


def _apart(values: list[float]) -> np.ndarray:
    line = np.array(values)
    return np.abs(line[:, None] - line[None])


def test_the_typical_then_the_varied_and_no_outlier() -> None:
    values = [0.0, 0.1, 0.2, 0.5, 0.9, 1.0, 1.1, 9.0]
    names = [f"clip-{n}" for n in range(8)]
    taken = select_clips(_apart(values), 5, [False] * 8, names)
    assert len(taken) == 5 and 7 not in taken, "the one that moves otherwise is left out"
    assert "most typical" in taken[3]
    spread = max(values[i] for i in taken) - min(values[i] for i in taken)
    assert spread >= 1.0, "not five that are all alike"
    assert sum("variety" in why for why in taken.values()) == 4


def test_labels_come_first_and_outliers_only_fill_up() -> None:
    values = [0.0, 0.1, 0.2, 5.0]
    taken = select_clips(_apart(values), 3, [False, False, True, True], list("abcd"))
    assert {2, 3} <= set(taken), "what the manifest says is taken first"
    every = select_clips(_apart(values), 9, [False] * 4, list("abcd"))
    assert set(every) == {0, 1, 2, 3} and "enough" in every[3]
    assert select_clips(np.zeros((1, 1)), 8, [False], ["a"]) != {}


def test_the_order_of_the_clips_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=12).tolist()
    names = [f"clip-{n:02d}" for n in range(12)]
    chosen = {names[i] for i in select_clips(_apart(values), 6, [False] * 12, names)}
    order = rng.permutation(12)
    mixed = select_clips(_apart([values[i] for i in order]), 6, [False] * 12, [names[i] for i in order])
    assert {names[order[i]] for i in mixed} == chosen
