"""From frames to masks: on held-out renders with the shipped segmenter, on real frames with an oracle in its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.oracle import OracleSegmenter
from mvmodel.errors import InputError
from mvmodel.segmentation.davis_metrics import contour_accuracy, region_similarity
from mvmodel.segmentation.quality import measure_quality
from mvmodel.segmentation.tracking import extract_masks
from mvmodel.world.motions import SpritePoses
from mvmodel.world.render import HELD_OUT, AnimatedSprite, random_clip, render

REAL = Path(__file__).resolve().parents[3] / "shared" / "clips" / "masked_sequences"
real = pytest.mark.skipif(not REAL.is_dir(), reason="no real sequences with true masks beside the repository")


@pytest.mark.slow
def test_one_object_is_found_and_followed_under_camera_pans(tiny_pack):
    scores = []
    for position, pan in enumerate((0.0, 0.4, -0.4)):
        clip = random_clip((HELD_OUT, position, 99), frames=12, pan=pan)
        extraction = extract_masks(clip.frames, tiny_pack.segmenter())
        assert extraction.sequence.masks.shape == clip.masks.shape
        assert len(extraction.sequence.per_instance) == 1, "scenery is no second object"
        frame, x, y = extraction.prompt
        assert clip.masks[frame, int(y), int(x)]
        scores.append(region_similarity(extraction.sequence.masks, clip.masks))
    print(f"J {np.mean(scores):.3f} over {len(scores)} clips, worst {min(scores):.3f}")
    assert np.mean(scores) >= 0.9, scores
    assert min(scores) > 0.75, scores


@pytest.mark.slow
def test_two_objects_are_told_apart(tiny_pack):
    scores, counts = [], []
    for position, pan in enumerate((0.0, 0.3, -0.3)):
        clip = random_clip((HELD_OUT, 60 + position, 99), frames=12, pan=pan, second_object=1.0)
        extraction = extract_masks(clip.frames, tiny_pack.segmenter()).sequence
        scores.append(region_similarity(extraction.masks, clip.masks))
        counts.append(len(extraction.per_instance))
    print(f"J {np.mean(scores):.3f} over {len(scores)} clips of two objects, worst {min(scores):.3f}")
    assert counts == [2] * 3
    assert np.mean(scores) >= 0.88, scores


def _passing_behind_scenery() -> tuple[np.ndarray, np.ndarray]:
    """A car that drives behind a piece of the meadow and out again: frames, and masks of what is to be seen of it."""
    share = np.linspace(0.12, 0.88, 20)
    one = np.ones_like(share)
    shown, nowhere = (SpritePoses(x, 0.55 * one, one, one, 0 * one, facing=1) for x in (share, share - 3))
    frames, instances = render([AnimatedSprite("car", "glide", 0.28, shown)], "meadow", np.random.default_rng(5))
    scenery, _ = render([AnimatedSprite("car", "glide", 0.28, nowhere)], "meadow", np.random.default_rng(5))
    frames[:, :, 40:88] = scenery[:, :, 40:88]
    masks = instances[0].copy()
    masks[:, :, 40:88] = False
    return frames, masks


@pytest.mark.slow
def test_an_object_is_found_again_behind_an_occlusion(tiny_pack):
    frames, truth = _passing_behind_scenery()
    hidden = ~truth.any(axis=(1, 2))
    assert hidden.sum() >= 1
    extraction = extract_masks(frames, tiny_pack.segmenter()).sequence.masks
    by_frame = np.array([region_similarity(a[None], b[None]) for a, b in zip(extraction, truth, strict=True)])
    clear = truth.sum(axis=(1, 2)) > 0.9 * truth.sum(axis=(1, 2)).max()
    print(f"J {by_frame[clear].mean():.3f} in clear frames, {extraction[hidden].mean():.4f} covered where it is hidden")
    assert by_frame[clear][0] > 0.8 and by_frame[clear][-1] > 0.8, by_frame.round(2).tolist()
    assert by_frame[clear].mean() > 0.85


@real
@pytest.mark.slow
@pytest.mark.parametrize(("name", "frames"), [("car-shadow", 24), ("dog", 40), ("scooter-black", 30)])
def test_prompts_and_tracking_on_real_frames_with_an_oracle_segmenter(name, frames):
    from mvmodel.video.decode import decode_video

    shown = decode_video(REAL / name / "frames", end=frames).frames
    truth = decode_video(REAL / name / "masks", end=frames).frames[..., 0] > 127
    oracle = OracleSegmenter(shown, truth)
    extraction = extract_masks(shown, oracle)
    region, contour = (figure(extraction.sequence.masks, truth) for figure in (region_similarity, contour_accuracy))
    print(f"{name}: J {region:.3f}, F {contour:.3f} with an oracle segmenter")
    at, x, y = extraction.prompt
    assert truth[at, int(y), int(x)], "the first prompt lies in the true mask"
    assert region >= 0.9
    assert oracle.encoded == frames, "every frame is encoded once"


def test_the_oracle_is_no_help_to_a_wrong_prompt():
    clip = random_clip((HELD_OUT, 3, 99), frames=2)
    oracle = OracleSegmenter(clip.frames, clip.masks)
    rows, columns = np.nonzero(clip.masks[0])
    inside, score = oracle.predict(0, point_coords=np.array([[np.median(columns), np.median(rows)]]))
    away, same = oracle.predict(0, point_coords=np.array([[1.0, 1.0]]))
    assert np.array_equal(inside[0], clip.masks[0])
    assert not (away[0] & clip.masks[0]).any() and score == same


def test_same_frames_same_masks_and_an_empty_scene_is_flagged(tiny_pack):
    clip = random_clip((HELD_OUT, 3, 99), frames=4)
    one, two = (extract_masks(clip.frames, tiny_pack.segmenter()).sequence for _ in range(2))
    assert np.array_equal(one.masks, two.masks)
    nothing = extract_masks(np.full((3, 64, 96, 3), 90, np.uint8), tiny_pack.segmenter())
    assert nothing.quality.weak and "no foreground" in nothing.quality.reasons[0]
    assert nothing.sequence.masks.shape == (3, 64, 96)


def test_other_arrays_are_refused(tiny_pack):
    with pytest.raises(InputError, match="frames are uint8"):
        extract_masks(np.zeros((3, 64, 64), np.uint8), tiny_pack.segmenter())


def test_quality_figures_name_what_is_wrong():
    square = np.zeros((4, 40, 40), bool)
    square[:, 10:20, 10:20] = True
    good = measure_quality(square, [0.9] * 4)
    assert not good.weak and good.jitter == 0 and good.border == 0 and good.coverage == pytest.approx(100 / 1600)
    holed = square.copy()
    holed[:, 14:16, 14:16] = False
    assert measure_quality(holed, [0.9] * 4).holes == pytest.approx(0.04)
    gone = square.copy()
    gone[1:] = False
    assert "no foreground in 75%" in measure_quality(gone, [0.9, 0, 0, 0]).reasons[0]
    edge = square.copy()
    edge[0, 0] = True
    assert measure_quality(edge, [0.9] * 4).border == 0.25
    assert "neither moves nor stands out" in measure_quality(square, [0.9] * 4, salience=0.2).reasons[0]
    bare = measure_quality(square)
    assert bare.confidence is None and bare.salience is None and not bare.weak
