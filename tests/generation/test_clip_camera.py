"""The camera that a video gets if its settings name none."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.training_config import TrainingClip
from mvmodel.errors import InputError
from mvmodel.generation.clip_camera import fill_camera
from mvmodel.masks import MaskSequence
from mvmodel.training.finetune import _describe_clip
from mvmodel.world.render import HELD_OUT, random_clip

MASKS = MaskSequence(np.ones((5, 8, 8), bool), 8.0)
CLIPS = GenerationConfig(camera_source="clips")


def write_record(folder, *cameras, frames=9):
    clips = [{"name": "a", "caption": "", "frames": frames, "camera": list(camera)} for camera in cameras]
    (folder / "train.json").write_text(json.dumps({"clips": clips}))
    return folder


def test_the_clips_camera_is_taken_at_its_speed_where_the_masks_know_none(tmp_path):
    adapter = write_record(tmp_path, (0.4, 0.0), (0.2, 0.1), (0.3, 0.02), (0.0, 0.0))
    assert fill_camera(CLIPS, MASKS, adapter).camera == pytest.approx((0.125, 0.005))  # half as long
    assert fill_camera(GenerationConfig(), MASKS, adapter).camera is None
    assert fill_camera(CLIPS, replace(MASKS, camera=(0.0, 0.0)), adapter).camera == (0.0, 0.0)
    assert fill_camera(CLIPS.model_copy(update={"camera": (1.0, 0.0)}), MASKS, adapter).camera == (1.0, 0.0)


@pytest.mark.parametrize(
    "cameras", [[(0.0, 0.0), (0.01, 0.0), (0.4, 0.0)], [(0.3, 0.0), (-0.3, 0.0)], [(0.3, 0.0), (0.0, 0.0)]]
)
def test_no_camera_where_most_clips_stand_still_or_disagree(tmp_path, cameras):
    assert fill_camera(CLIPS, MASKS, write_record(tmp_path, *cameras)).camera is None


def test_adapters_that_know_no_camera(tmp_path):
    assert fill_camera(CLIPS, MASKS, None).camera is None
    assert fill_camera(CLIPS, MASKS, tmp_path).camera is None  # a start adapter
    (tmp_path / "train.json").write_text(json.dumps({"clips": [{"name": "a"}]}))
    with pytest.raises(InputError, match="train the adapter again"):
        fill_camera(CLIPS, MASKS, tmp_path)


def test_training_records_how_the_camera_of_a_clip_moves():
    clip = random_clip((HELD_OUT, 3, 5), frames=12, motion="glide", objects=("dog",), background="forest", pan=0.3)
    x, y = _describe_clip(TrainingClip("a", clip.frames, clip.masks, clip.caption))["camera"]
    assert abs(abs(x) - 0.3) < 0.1 and abs(y) < 0.05
