"""From frames to masks with the shipped segmenter, on held-out renders whose masks are known."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.segmentation.quality import measure
from mvmodel.segmentation.track import extract
from mvmodel.world.render import HELD_OUT, random_clip


def region_similarity(found: np.ndarray, truth: np.ndarray) -> float:
    """DAVIS' J: mean IoU over frames."""
    return float(np.mean([(a & b).sum() / max(1, (a | b).sum()) for a, b in zip(found, truth, strict=True)]))


@pytest.mark.slow
def test_objects_are_found_and_followed_under_camera_pans(tiny_pack):
    scores = []
    for position, pan in enumerate((0.0, 0.4, -0.4, 0.0)):
        clip = random_clip((HELD_OUT, position, 99), frames=12, pan=pan)
        found = extract(clip.frames, tiny_pack.segmenter())
        assert found.sequence.masks.shape == clip.masks.shape
        scores.append(region_similarity(found.sequence.masks, clip.masks))
    assert np.mean(scores) > 0.88, scores
    assert min(scores) > 0.75, scores


def test_same_frames_same_masks_and_an_empty_scene_is_flagged(tiny_pack):
    clip = random_clip((HELD_OUT, 3, 99), frames=4)
    one, two = (extract(clip.frames, tiny_pack.segmenter()).sequence for _ in range(2))
    assert np.array_equal(one.masks, two.masks)
    nothing = extract(np.full((3, 64, 96, 3), 90, np.uint8), tiny_pack.segmenter())
    assert nothing.quality.weak and "no foreground" in nothing.quality.reasons[0]
    assert nothing.sequence.masks.shape == (3, 64, 96)


def test_other_arrays_are_refused(tiny_pack):
    with pytest.raises(InputError, match="frames are uint8"):
        extract(np.zeros((3, 64, 64), np.uint8), tiny_pack.segmenter())


def test_quality_figures_name_what_is_wrong():
    square = np.zeros((4, 40, 40), bool)
    square[:, 10:20, 10:20] = True
    good = measure(square, [0.9] * 4)
    assert not good.weak and good.jitter == 0 and good.border == 0 and good.coverage == pytest.approx(100 / 1600)
    holed = square.copy()
    holed[:, 14:16, 14:16] = False
    assert measure(holed, [0.9] * 4).holes == pytest.approx(0.04)
    gone = square.copy()
    gone[1:] = False
    assert "no foreground in 75%" in measure(gone, [0.9, 0, 0, 0]).reasons[0]
    edge = square.copy()
    edge[0, 0] = True
    assert measure(edge, [0.9] * 4).border == 0.25
