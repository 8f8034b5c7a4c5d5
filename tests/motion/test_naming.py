"""Names from numbers: what goes where, both parts where both count; and labels that say the opposite."""

import numpy as np
import pandas as pd
import pytest

from mvmodel.masks import MaskSequence
from mvmodel.motion.attributes import compute_motion_attributes
from mvmodel.motion.descriptor import DESCRIPTOR_NAMES, compute_descriptor
from mvmodel.motion.naming import find_contradicting_direction, name_from_descriptor, suggest_name
from mvmodel.world.render import HELD_OUT, random_clip


@pytest.mark.parametrize(
    ("rise", "sideways", "side", "name"),
    [
        (-1.5, 0.1, "left", "falling"),
        (-1.5, 0.6, "left", "falling"),  # 0.6 is less than half of 1.5: straight enough
        (-1.5, 1.0, "left", "falling-left"),
        (-1.5, 1.0, "sideways", "falling"),
        (1.0, 1.5, "right", "rising-right"),
        (0.6, 2.0, "right", "going-right"),
        (0.3, 1.0, "left", "going-left"),
        (0.3, 0.2, "left", "still"),
    ],
)
def test_both_parts_are_named_where_both_count(rise: float, sideways: float, side: str, name: str) -> None:
    values = dict.fromkeys(DESCRIPTOR_NAMES, 0.0) | {"rise": rise, "sideways": sideways}
    assert name_from_descriptor(values, side) == name
    turning = {"spin": 2.0}
    expected = "turning" if name == "still" else f"turning-{name.removeprefix('going-')}"
    assert name_from_descriptor(values | turning, side) == expected


@pytest.mark.parametrize(("pan", "name"), [(0.45, "falling-right"), (-0.45, "falling-left"), (0.0, "falling")])
def test_rendered_clips_that_fall_to_one_side(pan: float, name: str) -> None:
    """A camera that goes along makes a fall to one side out of a straight one."""
    rows = []
    for index in range(5):
        clip = random_clip((HELD_OUT, 735_000, index), 12, motion="fall", pan=pan)
        masks = MaskSequence(clip.masks)
        rows.append(compute_descriptor(masks) | compute_motion_attributes(masks, np.linspace((0, 0), (pan, 0), 12)))
    assert suggest_name(pd.DataFrame(rows)) == name


@pytest.mark.parametrize(
    ("label", "rightward", "upward", "goes"),
    [
        ("bouncing-right", -1.3, 0.0, "left"),
        ("bouncing-right", 1.3, 0.0, ""),
        ("bouncing-right", -0.2, 0.0, ""),  # hardly moves: no contradiction
        ("run_left", 0.9, -2.0, "right"),
        ("rising", 0.0, -0.8, "down"),
        ("falls-down", 0.0, 0.8, "up"),
        ("falling-left", 1.0, 1.0, "right and up"),
        ("left-to-right", -2.0, 0.0, ""),  # both words: neither is claimed
        ("bright-cupboard", -2.0, -2.0, ""),  # parts of words are none
    ],
)
def test_a_label_against_the_measured_way(label: str, rightward: float, upward: float, goes: str) -> None:
    assert find_contradicting_direction(label, rightward, upward) == goes
