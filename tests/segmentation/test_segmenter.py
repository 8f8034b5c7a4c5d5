"""Segmenter: shapes, coordinates and batching, on an untrained tiny Sam; quality is measured where it is trained."""

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from mvmodel.errors import PackError
from mvmodel.masks.geometry import bounding_box
from mvmodel.segmentation.sam_loading import build_tiny_sam, load_sam
from mvmodel.segmentation.segmenter import Segmenter, _non_maximum_suppression
from mvmodel.world.render import TRAIN, random_clip


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    sam = build_tiny_sam()
    for name, parameter in sam.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return Segmenter(sam, batch_size=3)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return random_clip((TRAIN, 11), frames=4, side=128).frames


def test_the_tiny_sam_has_the_stated_sizes() -> None:
    sam = build_tiny_sam()
    assert sam.image_encoder.img_size == 128
    assert sam.prompt_encoder.image_embedding_size == (16, 16)
    assert sam.prompt_encoder.input_image_size == (128, 128)
    assert sum(parameter.numel() for parameter in sam.parameters()) < 1_200_000


def test_agrees_with_the_published_predictor(segmenter: Segmenter, frames: np.ndarray) -> None:
    """The reference resizes with PIL and one picture at a time; at the model's own size nothing is resized."""
    reference = SamPredictor(segmenter.sam)
    reference.set_image(frames[0])
    encoding = segmenter.encode(frames)[0]
    assert torch.allclose(encoding.embedding, reference.features[0], atol=1e-4)
    points, box = np.array([[40.0, 70.0], [10.0, 5.0]]), np.array([20.0, 30.0, 90.0, 100.0])
    for arguments in ({"point_coords": points, "point_labels": np.array([1, 0])}, {"box": box}):
        expected, expected_scores, _ = reference.predict(**arguments)
        masks, scores = segmenter.predict(encoding, **arguments)
        assert np.array_equal(masks, expected)
        assert np.allclose(scores, expected_scores, atol=1e-4)


def test_shapes_of_a_wide_picture(segmenter: Segmenter) -> None:
    wide = random_clip((TRAIN, 12), frames=5, side=160).frames[:, :90]
    encodings = segmenter.encode(wide)
    assert len(encodings) == 5
    assert encodings[0].original_size == (90, 160)
    assert encodings[0].input_size == (72, 128)
    masks, scores = segmenter.predict(encodings[4], point_coords=np.array([[150.0, 80.0]]))
    assert masks.shape == (3, 90, 160)
    assert masks.dtype == np.bool_
    assert scores.shape == (3,)
    single, _ = segmenter.predict(encodings[4], mask_prompt=np.ones((90, 160), bool), multimask_output=False)
    assert single.shape == (1, 90, 160)


def test_a_prior_mask_stays_in_its_place(segmenter: Segmenter) -> None:
    encoding = segmenter.encode(np.zeros((1, 90, 160, 3), np.uint8))[0]
    prior = np.zeros((90, 160), bool)
    prior[0:45, 80:160] = True
    logits = segmenter.mask_prompt_logits(encoding, prior)[0].numpy()
    assert logits.shape == (64, 64)
    assert (logits[2:16, 34:62] > 7).all()
    assert (logits[20:, :] < -7).all()
    assert (logits[:, :30] < -7).all()


def test_a_prompt_changes_the_answer_and_none_is_refused(segmenter: Segmenter, frames: np.ndarray) -> None:
    encoding = segmenter.encode(frames[:1])[0]
    a, _ = segmenter.predict(encoding, point_coords=np.array([[5.0, 5.0]]))
    b, _ = segmenter.predict(encoding, point_coords=np.array([[100.0, 90.0]]))
    assert (a != b).any()
    with pytest.raises(ValueError, match="prompt is needed"):
        segmenter.predict(encoding)


def test_automatic_masks_are_non_maximum_suppression_sorted_and_filtered(
    segmenter: Segmenter, frames: np.ndarray
) -> None:
    candidates = segmenter.automatic(frames[0], points_per_side=4, min_score=-9, min_stability=0, min_area=0)
    assert candidates
    values = [candidate.score * candidate.stability for candidate in candidates]
    assert values == sorted(values, reverse=True)
    for candidate in candidates:
        assert candidate.mask.shape == (128, 128)
        assert candidate.box == bounding_box(candidate.mask)
    assert segmenter.automatic(frames[0], min_score=9) == []


def test_non_maximum_suppression_keeps_the_better_of_two_alike() -> None:
    masks = torch.zeros(3, 8, 8, dtype=torch.bool)
    masks[0, :4], masks[1, :4, :7], masks[2, 5:] = True, True, True
    assert _non_maximum_suppression(masks, 0.6) == [0, 2]
    assert _non_maximum_suppression(masks, 0.95) == [0, 1, 2]


def test_checkpoints_are_named_when_they_do_not_fit(tmp_path) -> None:
    from safetensors.torch import save_file

    sam = build_tiny_sam()
    state = {name: value.half().contiguous() for name, value in sam.state_dict().items()}
    save_file(state, tmp_path / "sam.safetensors")
    loaded = load_sam("tiny", tmp_path / "sam.safetensors")
    assert next(loaded.parameters()).dtype == torch.float32
    torch.save(state, tmp_path / "sam.pth")
    load_sam("tiny", tmp_path / "sam.pth")
    state.pop(next(iter(state)))
    torch.save(state, tmp_path / "short.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("short.pth", "text.pth", "gone.pth"):
        with pytest.raises(PackError, match=name):
            load_sam("tiny", tmp_path / name)
    with pytest.raises(PackError, match="no segment-anything model type"):
        load_sam("vit_x", None)


@pytest.mark.parametrize(("side", "batch_size"), [(128, 8), (512, 4), (1024, 1)])
def test_large_encoders_get_few_pictures_at_once(side: int, batch_size: int):
    sam = build_tiny_sam()
    sam.image_encoder.img_size = side
    assert Segmenter(sam).batch_size == batch_size
    assert Segmenter(sam, batch_size=3).batch_size == 3
