"""What each number of a descriptor does not depend on, compared with the table in docs/masks.md."""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mvmodel.masks import MaskSequence
from mvmodel.motion.attributes import compute_motion_attributes
from mvmodel.motion.descriptor import DESCRIPTOR_NAMES, compute_descriptor
from mvmodel.motion.distance import SPREAD
from mvmodel.world.motions import MOTIONS
from mvmodel.world.render import HELD_OUT, random_clip

FPS = 24.0
SEEDS = 2


@pytest.fixture(scope="module")
def clips() -> dict[str, np.ndarray]:
    """Clips of each motion, a second long."""
    return _render(25)


def _render(frames: int) -> dict[str, np.ndarray]:
    return {
        f"{motion}-{seed}": random_clip((HELD_OUT, 745_000 + seed, number), frames, motion=motion, pan=0.0).masks
        for number, motion in enumerate(MOTIONS)
        for seed in range(SEEDS)
    }


@pytest.fixture(scope="module")
def documented(repository: Path) -> dict[str, float]:
    """Number -> its largest change by half the frame rate, from the table."""
    text = (repository / "docs" / "masks.md").read_text().split("| half the frame rate |")[1].split("\n\n")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if "`" in line]
    return {name: float(cells[-1]) for cells in rows for name in re.findall("`([a-z_]+)`", cells[0])}


def _larger(masks: np.ndarray) -> np.ndarray:
    resized = [cv2.resize(mask.astype(np.uint8), (256, 256), interpolation=cv2.INTER_NEAREST) for mask in masks]
    return np.stack(resized) > 0


def _changes(clips: dict[str, np.ndarray], change: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Largest change of every number over all clips, in units of `SPREAD`."""
    largest = dict.fromkeys(DESCRIPTOR_NAMES, 0.0)
    for masks in clips.values():
        original, changed = compute_descriptor(MaskSequence(masks)), compute_descriptor(MaskSequence(change(masks)))
        largest = {name: max(largest[name], abs(original[name] - changed[name]) / SPREAD[name]) for name in largest}
    return largest


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        (lambda masks: masks[:, :, ::-1], 0.01),
        (lambda masks: np.pad(masks, ((0, 0), (5, 40), (40, 5))), 0.01),
        (_larger, 0.2),
    ],
    ids=["flip", "translation", "resolution"],
)
def test_flip_translation_and_resolution_change_no_number(clips, change, limit: float) -> None:
    changes = {name: round(value, 3) for name, value in _changes(clips, change).items() if value > limit}
    assert changes == {}


def test_the_table_names_every_number(documented: dict[str, float]) -> None:
    assert sorted(documented) == sorted(DESCRIPTOR_NAMES)


def test_half_the_frame_rate_changes_numbers_by_no_more_than_the_table_says(clips, documented) -> None:
    changes = _changes(clips, lambda masks: masks[::2])
    print({name: round(value, 2) for name, value in changes.items()})
    assert {name: value for name, value in changes.items() if value > documented[name]} == {}


def test_a_motion_rendered_at_half_the_frame_rate_is_every_second_frame(clips) -> None:
    assert all(np.array_equal(masks, clips[name][::2]) for name, masks in _render(13).items())


def test_the_trajectory_does_not_depend_on_the_frame_rate(clips) -> None:
    for motion, masks in clips.items():
        original, changed = (
            compute_motion_attributes(MaskSequence(masks, FPS)),
            compute_motion_attributes(MaskSequence(masks[::2], FPS / 2)),
        )
        for name in ("rightward", "upward"):
            assert changed[name] == pytest.approx(original[name], abs=0.02), (motion, name)
        assert changed["direction"] == pytest.approx(original["direction"], abs=1.0), motion
        assert changed["speed"] == pytest.approx(original["speed"], rel=0.15, abs=0.05), motion
