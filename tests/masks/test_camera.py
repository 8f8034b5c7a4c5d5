"""The camera of a mask sequence: who sets it, which edits keep it, and what a video makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.authoring.scene import Scene, scene_to_masks
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.combine import combine, resize
from mvmodel.masks.edit import cut, dilate, duplicate, flip, loop, move, pan, retime, reverse
from mvmodel.masks.files import read_masks
from mvmodel.masks.fit import fit_masks
from mvmodel.picture_size import PictureSize


@pytest.fixture
def sequence() -> MaskSequence:
    masks = np.zeros((5, 32, 64), bool)
    masks[:, 12:20, 24:32] = True
    return MaskSequence(masks)


def test_a_pan_is_known_and_adds_up(sequence):
    assert sequence.camera is None and move(sequence, 3).camera is None
    assert pan(sequence, 16, -8).camera == (0.25, -0.25)
    assert pan(pan(sequence, 16), -8, 4).camera == (0.125, 0.125)


@pytest.mark.parametrize(
    ("edit", "camera"),
    [
        (lambda s: flip(s), (-0.25, -0.125)),
        (lambda s: flip(s, "y"), (0.25, 0.125)),
        (lambda s: reverse(s), (-0.25, 0.125)),
        (lambda s: retime(s, frames=9), (0.25, -0.125)),
        (lambda s: retime(s, frames=9, smooth=True), (0.25, -0.125)),
        (lambda s: cut(s, 1, 4), (0.125, -0.0625)),
        (lambda s: dilate(duplicate(s, 4), 1), (0.25, -0.125)),
        (lambda s: loop(s), None),
        (lambda s: resize(s, 64, 64), (0.25, -0.0625)),
        (lambda s: fit_masks(s, PictureSize(64, 64), "stretch"), (0.25, -0.125)),
        (lambda s: fit_masks(s, PictureSize(32, 32)), (0.5, -0.125)),
        (lambda s: combine(s, s), (0.25, -0.125)),
        (lambda s: combine(s, move(s, 1)), (0.25, -0.125)),
        (lambda s: combine(s, pan(s, 8)), None),
    ],
)
def test_edits_change_the_camera_as_they_change_the_picture(sequence, edit, camera):
    assert edit(pan(sequence, 16, -4)).camera == camera


def test_the_camera_is_stored_and_counts(sequence, tmp_path):
    panned = pan(sequence, 16)
    panned.save(tmp_path / "panned.npz")
    assert (
        MaskSequence.load(tmp_path / "panned.npz").camera == read_masks(tmp_path / "panned.npz").camera == (0.25, 0.0)
    )
    assert panned.content_hash() != MaskSequence(panned.masks).content_hash()
    with pytest.raises(InputError, match="two finite numbers"):
        MaskSequence(sequence.masks, camera=(np.nan, 0.0))


def test_a_scene_knows_its_pan():
    motion = {"kind": "path", "points": [[0.5, 0.5], [0.6, 0.5]]}
    scene = {"frames": 3, "size": [32, 32], "objects": [{"motion": motion}]}
    assert scene_to_masks(Scene(**scene))[0].camera is None
    assert scene_to_masks(Scene(**scene, pan=[0.2, 0.0]))[0].camera == pytest.approx((0.2, 0.0))


def test_a_video_moves_with_its_masks_camera(sequence):
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.generation.requests import generate_video

    class Recorder:
        def sample(self, adapter, prompt, masks, first_frame, config, seed, **options):
            return config.camera

    def camera(masks: MaskSequence, **options):
        picture = np.zeros((32, 64, 3), np.uint8)
        return generate_video(Recorder(), None, "a dog", masks, picture, GenerationConfig(**options), 0)

    panned = pan(sequence, 16)
    assert camera(sequence) is None and camera(panned) == (0.25, 0.0)
    assert camera(panned, camera=(0.0, 0.0)) == (0.0, 0.0)
