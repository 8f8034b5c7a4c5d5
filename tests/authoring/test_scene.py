"""Scenes written down: what is drawn is where it was said, and every mistake names its place."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mvmodel.authoring.scene import Scene, read_scene, scene_to_masks
from mvmodel.errors import InputError
from mvmodel.masks.geometry import centroid


def _scene(**changed) -> Scene:
    base = {
        "frames": 9,
        "size": [64, 96],
        "objects": [
            {"name": "kite", "motion": {"kind": "path", "points": [[0.2, 0.5], [0.8, 0.5]]}, "shape": {"kind": "box"}}
        ],
    }
    return Scene(**{**base, **changed})


def test_a_path_is_followed_and_a_pan_added() -> None:
    masks, assumptions = scene_to_masks(_scene())
    assert masks.masks.shape == (9, 64, 96) and masks.names == ("kite",) and not assumptions
    x = [centroid(mask)[0] for mask in masks.masks]
    assert x == pytest.approx(np.linspace(0.2, 0.8, 9) * 96, abs=0.7)
    panned, _ = scene_to_masks(_scene(pan=(0.1, 0.0)))
    assert centroid(panned.masks[-1])[0] == pytest.approx(0.8 * 96 - 9.6, abs=1)
    svg = {"name": "kite", "motion": {"kind": "path", "svg": "M 0.2 0.5 L 0.8 0.5", "speed": "ease-in"}}
    eased, _ = scene_to_masks(_scene(objects=[svg]))
    assert centroid(eased.masks[4])[0] == pytest.approx((0.2 + 0.6 * 0.25) * 96, abs=1)


def test_physics_and_words_in_one_scene() -> None:
    objects = [
        {"name": "ball", "motion": {"kind": "fall", "start": [0.5, 0.2], "floor": 0.8}},
        {"name": "wheel", "shape": {"kind": "box"}, "motion": {"kind": "roll", "velocity": 0.3}},
        {"name": "lamp", "motion": {"kind": "swing"}},
        {"name": "dog", "motion": {"kind": "words", "text": "runs from x to right, jumps twice"}},
    ]
    masks, assumptions = scene_to_masks(_scene(objects=objects, frames=17))
    assert masks.per_instance.shape == (4, 17, 64, 96)
    heights = [centroid(mask)[1] for mask in masks.instance("ball").masks]
    assert heights[0] == pytest.approx(0.2 * 64, abs=1) and heights[-1] == pytest.approx(0.8 * 64, abs=1)
    assert centroid(masks.instance("dog").masks[-1])[0] > 70
    assert any("together was taken" in assumption for assumption in assumptions)


def test_key_masks_and_shapes_from_files(tmp_path: Path) -> None:
    for name, x in (("a", 10), ("b", 60)):
        picture = np.zeros((64, 96), np.uint8)
        picture[20:40, x : x + 20] = 255
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    keyed = {"motion": {"kind": "keys", "keys": {0: "a.png", 8: "b.png"}, "speed": "ease-in-out"}}
    masks, _ = scene_to_masks(_scene(objects=[keyed]), tmp_path)
    assert masks.masks[0, 20:40, 10:30].all() and masks.masks[8, 20:40, 60:80].all()
    assert centroid(masks.masks[4])[0] == pytest.approx(44.5, abs=1)
    shaped = {"shape": {"kind": "file", "file": "a.png", "height": 0.5}, "motion": {"kind": "fall"}}
    masks, _ = scene_to_masks(_scene(objects=[shaped]), tmp_path)
    assert masks.masks[0].sum() == pytest.approx(32 * 32, rel=0.1)
    with pytest.raises(InputError, match=r"gone\.png cannot be read"):
        scene_to_masks(_scene(objects=[{"motion": {"kind": "keys", "keys": {0: "gone.png"}}}]), tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("frames: [", "cannot be read as YAML"),
        ("- 1", "objects"),
        (yaml.safe_dump({"objects": [{"motion": {"kind": "teleport"}}]}), r"objects\.0\.motion"),
        (yaml.safe_dump({"objects": [{"motion": {"kind": "fall"}, "colour": 1}]}), r"objects\.0\.colour"),
        (yaml.safe_dump({"frames": 0, "objects": [{"motion": {"kind": "fall"}}]}), "frames"),
    ],
)
def test_mistakes_name_file_and_place(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "scene.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=reason) as caught:
        read_scene(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="either points or an SVG"):
        scene_to_masks(_scene(objects=[{"motion": {"kind": "path"}}]))


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("size: [100000, 100000]", "100000x100000 is more than the limit of 4096 pixels a side"),
        ("size: [0, 64]", "size.0: Input should be greater than 0"),
        ("size: [4000, 4000]\nframes: 1000", "more than the limit of 1,073,741,824 pixels"),
    ],
)
def test_the_size_of_a_scene_has_limits(tmp_path: Path, setting: str, reason: str) -> None:
    file = tmp_path / "scene.yaml"
    file.write_text(f"{setting}\nobjects: [{{motion: {{kind: bounce}}}}]\n")
    with pytest.raises(InputError, match=reason):
        scene_to_masks(read_scene(file))
