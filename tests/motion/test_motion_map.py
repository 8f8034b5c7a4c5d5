"""The motion map: trajectories in object sizes, and a map that keeps groups together."""

import numpy as np
import pandas as pd
import pytest

from mvmodel.masks import MaskSequence
from mvmodel.motion import motion_map
from mvmodel.motion.descriptor import DESCRIPTOR_NAMES, compute_descriptor
from mvmodel.motion.distance import SPREAD
from mvmodel.motion.grouping import group_clips
from mvmodel.motion.motion_map import MotionMap, compute_map_positions
from mvmodel.motion.trajectory import compute_trajectory
from mvmodel.reports.motion_map_plots import draw_overview
from mvmodel.world.render import HELD_OUT, random_clip


def test_a_trajectory_is_in_object_sizes_and_up_is_up() -> None:
    masks = np.zeros((3, 60, 60), bool)
    for frame in range(3):
        masks[frame, 40 - 10 * frame : 50 - 10 * frame, 10 + 5 * frame : 20 + 5 * frame] = True
    assert compute_trajectory(MaskSequence(masks))[-1] == pytest.approx([1.0, 2.0])
    assert not compute_trajectory(MaskSequence(np.zeros((3, 8, 8), bool))).any()


def test_like_motions_are_close_and_the_picture_is_drawn() -> None:
    clips = {
        f"{motion}-{n}": MaskSequence(random_clip((HELD_OUT, 90 + n, k), 12, 64, motion, pan=0.0).masks)
        for k, motion in enumerate(("grow", "fall", "spin"))
        for n in range(5)
    }
    descriptors = pd.DataFrame.from_dict({name: compute_descriptor(s) for name, s in clips.items()}, orient="index")
    positions = compute_map_positions(descriptors).reshape(3, 5, 2)
    within_groups = np.mean([np.linalg.norm(group - group.mean(axis=0), axis=1).mean() for group in positions])
    centres = positions.mean(axis=1)
    between_groups = np.linalg.norm(centres[:, None] - centres[None], axis=2).sum() / 6
    assert between_groups > 2 * within_groups
    table = group_clips(descriptors, pd.Series("", index=descriptors.index)).table
    picture = np.asarray(
        draw_overview(
            MotionMap.from_groups(descriptors, {name: compute_trajectory(s) for name, s in clips.items()}, table)
        )
    )
    assert picture.ndim == 3 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_a_large_map_is_fitted_to_some_clips_and_draws_the_largest_motions(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    centres = np.repeat(random.normal(0, 3, (3, len(DESCRIPTOR_NAMES))), 20, axis=0)
    values = (centres + random.normal(0, 0.5, centres.shape)) * [SPREAD[name] for name in DESCRIPTOR_NAMES]
    descriptors = pd.DataFrame(values, [f"c{n}" for n in range(60)], list(DESCRIPTOR_NAMES))
    monkeypatch.setattr(motion_map, "MAX_LANDMARKS", 12)
    positions = compute_map_positions(descriptors).reshape(3, 20, 2)
    within = np.linalg.norm(positions - positions.mean(axis=1, keepdims=True), axis=2).mean()
    centre = positions.mean(axis=1)
    assert np.linalg.norm(centre[:, None] - centre[None], axis=2).sum() / 6 > 2 * within
    table = pd.DataFrame({"clip": descriptors.index, "motion": ["a"] * 30 + ["b"] * 20 + ["c"] * 10, "selected": False})
    table.loc[[29, 31], "selected"] = True
    drawn = MotionMap(table, {}, {}).largest(2, 5).table
    assert dict(drawn["motion"].value_counts()) == {"a": 5, "b": 5}
    assert {"c29", "c31"} <= set(drawn["clip"])
