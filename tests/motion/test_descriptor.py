"""The descriptor says how something moves and nothing else."""

import cv2
import numpy as np
import pytest

from mvmodel.masks import MaskSequence
from mvmodel.motion.descriptor import DESCRIPTOR_NAMES, compute_descriptor
from mvmodel.motion.distance import SPREAD, compute_distance
from mvmodel.world.render import HELD_OUT, random_clip


def _masks(motion: str, seed: int = 0, **options: object) -> np.ndarray:
    return random_clip((HELD_OUT, 700_000 + seed), frames=12, side=128, motion=motion, pan=0.0, **options).masks


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    one, two = compute_descriptor(MaskSequence(a)), compute_descriptor(MaskSequence(b))
    return float(compute_distance(*(np.array([values[name] for name in DESCRIPTOR_NAMES]) for values in (one, two))))


def test_names_and_finite_numbers() -> None:
    values = compute_descriptor(MaskSequence(_masks("gallop")))
    assert tuple(values) == DESCRIPTOR_NAMES == tuple(SPREAD)
    assert all(np.isfinite(value) for value in values.values())


@pytest.mark.parametrize("motion", ["gallop", "bounce", "zigzag", "orbit"])
def test_side_place_size_and_resolution_do_not_matter(motion: str) -> None:
    masks = _masks(motion)
    assert _distance(masks, masks[:, :, ::-1]) < 0.05, "mirrored"
    larger = np.stack([cv2.resize(m.astype(np.uint8), (256, 256), interpolation=cv2.INTER_NEAREST) > 0 for m in masks])
    assert _distance(masks, larger) < 0.3, "twice the resolution"
    half = np.zeros_like(masks)
    half[:, 10:74, 50:114] = np.stack(
        [cv2.resize(m.astype(np.float32), (64, 64), interpolation=2) > 0.5 for m in masks]
    )
    assert _distance(masks, half) < 0.6, "half as large, elsewhere"


@pytest.mark.parametrize("motion", ["gallop", "zigzag"])
def test_rough_masks_and_a_lost_frame_change_little(motion: str) -> None:
    masks = _masks(motion)
    kernel = np.ones((3, 3), np.uint8)
    rough = np.stack(
        [(cv2.dilate if i % 2 else cv2.erode)(m.astype(np.uint8), kernel) > 0 for i, m in enumerate(masks)]
    )
    rough[5] = False
    assert _distance(masks, rough) < 1.1


def test_numbers_mean_what_their_names_say() -> None:
    values = {
        m: compute_descriptor(MaskSequence(_masks(m, 3)))
        for m in ("grow", "spin", "fall", "sway", "orbit", "glide", "bounce")
    }
    assert values["grow"]["growth"] > 1
    assert abs(values["glide"]["growth"]) < 0.1
    assert values["spin"]["travel"] < 0.2
    assert values["fall"]["rise"] < -0.5
    assert values["sway"]["sideways_turns"] >= 1
    assert values["glide"]["straightness"] > 0.95
    assert values["orbit"]["circling"] > 0.3
    assert values["bounce"]["squash_low"] > 0.03


def test_nothing_seen_gives_zeros() -> None:
    empty = MaskSequence(np.zeros((8, 32, 32), bool))
    assert compute_descriptor(empty) == dict.fromkeys(DESCRIPTOR_NAMES, 0.0)
    one = np.zeros((8, 32, 32), bool)
    one[3, 4:9, 4:9] = True
    assert compute_descriptor(MaskSequence(one)) == dict.fromkeys(DESCRIPTOR_NAMES, 0.0)
