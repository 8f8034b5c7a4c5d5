"""Words to masks through the shipped pack: the shape from its picture, the motion from the sentence."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.authoring.config import TextToMasksConfig
from mvmodel.authoring.library import LibraryEntry, write_library
from mvmodel.authoring.text_to_masks import text_to_masks
from mvmodel.backends.shape_models import load_shape_models
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.geometry import centroid
from mvmodel.world.render import HELD_OUT, random_clip

BLOCK = np.ones((10, 16), bool)


@pytest.mark.slow
def test_a_drawn_shape_is_moved_as_the_sentence_says(tiny_pack) -> None:
    models = load_shape_models(tiny_pack)
    sentence = "a car drives from left to right"
    config = TextToMasksConfig(pictures_per_noun=2, steps=8)
    result = text_to_masks(sentence, models, 8, 8.0, (128, 128), config)
    assert result.sequence.names == ("car",) and result.pictures["car"].shape == (128, 128, 3)
    x = [centroid(mask)[0] for mask in result.sequence.masks]
    assert x[0] < 40 and x[-1] > 88 and (np.diff(x) > 0).all()
    repeated = text_to_masks(sentence, models, 8, 8.0, (128, 128), config)
    assert np.array_equal(repeated.sequence.masks, result.sequence.masks)


def test_several_actors_with_given_shapes(tiny_pack) -> None:
    shapes = {"dog": BLOCK, "cat": BLOCK}
    models = load_shape_models(tiny_pack)
    result = text_to_masks("two dogs run to the left and a cat jumps twice", models, 12, 8.0, (96, 96), shapes=shapes)
    assert result.sequence.names == ("dog", "dog", "cat")
    assert not result.pictures
    first = [centroid(mask)[0] for mask in result.sequence.instance(0).masks]
    assert first[-1] < first[0] - 20


@pytest.mark.slow
def test_motion_from_the_library(tiny_pack, tmp_path) -> None:
    clips = {
        motion: random_clip((HELD_OUT, 50, 3), frames=12, side=96, motion=motion, pan=0.0, facing=1)
        for motion in ("spin", "gallop")
    }
    entries = [LibraryEntry(name, MaskSequence(clip.masks), clip.caption, name) for name, clip in clips.items()]
    library = write_library(tmp_path / "lib", entries, tiny_pack.scorer().texts)
    models = load_shape_models(tiny_pack)
    result = text_to_masks(
        "a dog gallops to the left",
        models,
        16,
        8.0,
        (128, 128),
        shapes={"dog": BLOCK},
        library=library,
        use_library_motion=True,
    )
    assert result.source_entry == result.nearest[0].name == "gallop"
    assert result.sequence.masks.shape == (16, 128, 128) and result.sequence.names == ("dog",)
    assert centroid(result.sequence.masks[-1])[0] < centroid(result.sequence.masks[0])[0] - 15, (
        "mirrored, since it says left"
    )
    with pytest.raises(InputError, match="no verb of motion"):
        text_to_masks("a dog", models, 8, 8.0, (96, 96), shapes={"dog": BLOCK})
