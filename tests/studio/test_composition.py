"""From a project to masks: paths, bends, sizes, turns, edits and the camera, checked on discs."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks.geometry import centroid, centroids
from mvmodel.masks.sequence import MaskSequence
from mvmodel.picture_size import PictureSize
from mvmodel.studio.composition import apply_motion, compose_masks, describe_masks
from mvmodel.studio.mask_memory import MaskMemory
from mvmodel.studio.project import ObjectMotion, Project
from tests.studio.conftest import draw_disc

SIZE = PictureSize(64, 64)
FILES = {"0" * 20 + ".npz": MaskSequence(draw_disc(32, 32, 6)[None]), "1" * 20 + ".npz": None}
FILES["1" * 20 + ".npz"] = MaskSequence(np.stack([draw_disc(10 + 8 * n, 20, 5) for n in range(5)]))


def compose(*objects: dict, **project: object) -> MaskSequence:
    entries = []
    for number, entry in enumerate(objects):
        masks = {"kind": "drawn", "keys": {0: "0" * 20 + ".npz"}}
        if entry.pop("sequence", False):
            masks = {"kind": "sequence", "file": "1" * 20 + ".npz"}
        entries.append({"id": f"o{number}", "masks": masks, **entry})
    parsed = Project.model_validate({"frames": 9, "objects": entries, **project})
    sequence = compose_masks(parsed, lambda name: FILES[name], SIZE)
    assert sequence is not None
    return sequence


def test_without_motion_the_drawn_shape_stays():
    sequence = compose({})
    assert sequence.frames == 9 and (sequence.masks == sequence.masks[0]).all()
    assert np.array_equal(sequence.masks[0], draw_disc(32, 32, 6)) and sequence.instances is None


def test_a_bend_pushes_the_middle_of_the_way_to_its_side():
    straight = centroids(compose({"motion": {"points": [(0.2, 0.5), (0.8, 0.5)]}}).masks)
    bent = centroids(compose({"motion": {"points": [(0.2, 0.5), (0.8, 0.5)], "bend": 0.25}}).masks)
    assert np.allclose(bent[[0, -1]], straight[[0, -1]], atol=0.6)
    assert bent[4, 1] == pytest.approx(straight[4, 1] - 16, abs=0.8) and bent[4, 0] == pytest.approx(
        straight[4, 0], abs=0.6
    )


def test_sizes_and_turns_are_interpolated_between_their_keys():
    areas = compose({"motion": {"sizes": [(0, 1), (1, 2)]}}).masks.sum(axis=(1, 2))
    assert areas[-1] == pytest.approx(4 * areas[0], rel=0.1) and (np.diff(areas) > 0).all()
    turned = compose({"motion": {"turns": [(0, 0), (1, 360)]}}).masks
    assert np.allclose(centroids(turned), [32, 32], atol=0.5)


def test_edits_come_before_the_motion_and_shorter_masks_are_held():
    played = centroids(compose({"sequence": True}).masks)
    assert played[:, 0].tolist() == pytest.approx([10, 18, 26, 34, 42, 42, 42, 42, 42], abs=0.5)
    back = centroids(compose({"sequence": True, "edits": ["loop 2 there_and_back=yes"]}).masks)
    assert back[:, 0].tolist() == pytest.approx([10, 18, 26, 34, 42, 34, 26, 18, 10], abs=0.5)


def test_objects_keep_their_names_and_the_camera_moves_all():
    sequence = compose({"name": "a dog"}, {"name": "a dog copy", "motion": {"offset": (0.2, 0)}}, pan=(0.25, 0))
    assert sequence.names == ("a dog", "a dog copy")
    shift = centroids(sequence.per_instance[1]) - centroids(sequence.per_instance[0])
    assert np.allclose(shift[:, 0], 12.8, atol=0.6)
    assert centroids(sequence.per_instance[0])[-1, 0] == pytest.approx(32 - 16, abs=0.6)


def test_hidden_objects_do_not_count_and_a_wrong_edit_names_its_object():
    assert len(compose({"name": "one"}, {"name": "two", "visible": False}).per_instance) == 1
    with pytest.raises(InputError, match="a dog: there is no edit 'jump'"):
        compose({"name": "a dog", "edits": ["jump"]})


def test_what_leaves_the_picture_is_said():
    remarks = describe_masks(compose({"motion": {"points": [(0.5, 0.5), (1.6, 0.5)]}}))["remarks"]
    assert remarks[0].startswith("the object is out of the picture in")
    assert (
        "the first frame is empty"
        in describe_masks(compose({"motion": {"points": [(-0.5, 0.5), (0.5, 0.5)]}}))["remarks"][0]
    )


def test_words_of_only_some_objects_are_said_to_do_nothing():
    assert describe_masks(compose({"name": "a dog"}, {"name": "a cat"}))["remarks"] == []
    [remark] = describe_masks(compose({"name": "a dog"}, {}))["remarks"]
    assert "object 2 has no words" in remark


def test_masks_that_did_not_change_are_not_computed_again():
    computed = []

    def compute(number: int) -> np.ndarray:
        computed.append(number)
        return np.zeros((2, 8, 8), bool)

    memory = MaskMemory(max_bytes=2 * 128)
    for number in (1, 2, 1, 3, 1, 2):
        memory.get_or_compute(number, lambda number=number: compute(number))
    assert computed == [1, 2, 3, 2]


def test_a_path_takes_the_place_of_the_masks_own_way():
    rows, columns = np.ogrid[:64, :64]
    hops = [(50 - 4 * n, 40 - 6 * (n % 2)) for n in range(8)]
    sequence = MaskSequence(np.stack([(columns - x) ** 2 + (rows - y) ** 2 <= 25 for x, y in hops]))
    motion = ObjectMotion(points=[(0.2, 0.5), (0.8, 0.5)])
    moved = np.array([centroid(mask) for mask in apply_motion(sequence, motion).masks])
    assert np.allclose(moved[[0, -1], 0], [0.2 * 64, 0.8 * 64], atol=1)
    assert np.ptp(moved[:, 1]) > 4, "the hops stay"
