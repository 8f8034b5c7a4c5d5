"""The wrapper on a real open_clip model, small and random: nothing is downloaded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvmodel.errors import InputError
from mvmodel.metrics.scorer import Scorer


@pytest.fixture(scope="module")
def random_clip_model():
    from open_clip import CLIP
    from open_clip.transform import image_transform

    torch.manual_seed(0)
    model = CLIP(
        embed_dim=16,
        vision_cfg={"image_size": 32, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16},
        text_cfg={"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
    )
    preprocess = image_transform(32, is_train=False)

    def tokenizer(texts: list[str]) -> torch.Tensor:
        rows = [[1] + [2 + len(word) for word in text.split()][:6] + [63] for text in texts]
        return torch.tensor([row + [0] * (8 - len(row)) for row in rows])

    return model, preprocess, tokenizer


@pytest.fixture
def small_scorer(random_clip_model):
    return Scorer(*random_clip_model, name="random", weights_hash="0" * 64, words=("car", "whale"), batch_size=4)


def test_embeddings_have_length_one_and_do_not_depend_on_the_batch(small_scorer, clip):
    together = small_scorer.images(clip.frames)
    one_by_one = np.concatenate([small_scorer.images(frame[None]) for frame in clip.frames])
    assert together.shape == (10, 16)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    assert together == pytest.approx(one_by_one, abs=1e-5)


def test_images_are_what_the_model_itself_says(small_scorer, random_clip_model, clip):
    from PIL import Image

    model, preprocess, _ = random_clip_model
    with torch.no_grad():
        straight = model.encode_image(preprocess(Image.fromarray(clip.frames[0]))[None], normalize=True).numpy()
    assert small_scorer.images(clip.frames[:1]) == pytest.approx(straight, abs=1e-5)


def test_preparing_a_batch_changes_no_bit(random_clip_model, clip):
    from PIL import Image

    from mvmodel.metrics.scorer import preprocess_batch

    _, preprocess, _ = random_clip_model
    one_by_one = torch.stack([preprocess(Image.fromarray(frame)) for frame in clip.frames])
    assert torch.equal(preprocess_batch(preprocess, clip.frames), one_by_one)
    unknown = lambda picture: torch.full((3, 2, 2), float(np.asarray(picture)[0, 0, 0]))  # noqa: E731
    assert torch.equal(
        preprocess_batch(unknown, clip.frames)[:, 0, 0, 0], torch.tensor(clip.frames[:, 0, 0, 0]).float()
    )


def test_wide_frames_are_judged_whole_and_squares_as_open_clip_does(small_pack):
    """An object that enters at the edge of a wide frame counts."""
    from open_clip.transform import image_transform
    from PIL import Image

    scorer = small_pack.scorer()
    wide = np.full((2, 64, 96, 3), 90, np.uint8)
    wide[1, :, :12] = 250
    assert not np.allclose(*scorer.images(wide), atol=1e-4)
    square = wide[1, :, :64]
    assert torch.equal(
        scorer.preprocess(Image.fromarray(square)), image_transform(32, is_train=False)(Image.fromarray(square))
    )


@pytest.mark.slow
def test_scoring_keeps_four_fifths_of_the_bare_encoders_speed():
    """On frames of 512x320 and a ViT-B-32 (random weights), in processor time of one thread, busy machine or not."""
    import time

    import open_clip

    from mvmodel.metrics.scorer import preprocess_batch

    model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32", pretrained=None)
    scorer = Scorer(model, preprocess, open_clip.get_tokenizer("ViT-B-32"), "random", "0" * 64, batch_size=8)
    frames = np.random.default_rng(0).integers(0, 256, (8, 320, 512, 3), dtype=np.uint8)
    batch, threads = preprocess_batch(preprocess, frames), torch.get_num_threads()
    encoder_seconds, scorer_seconds = [], []
    try:
        torch.set_num_threads(1)
        with torch.no_grad():
            for _ in range(3):
                began = time.process_time()
                model.encode_image(batch)
                halfway = time.process_time()
                scorer.images(frames)
                encoder_seconds.append(halfway - began)
                scorer_seconds.append(time.process_time() - halfway)
    finally:
        torch.set_num_threads(threads)
    assert min(encoder_seconds) / min(scorer_seconds) >= 0.8


def test_texts_keep_their_order_and_are_remembered(small_scorer):
    first = small_scorer.texts(["a car", "a whale here", "a car"])
    assert first.shape == (3, 16)
    assert (first[0] == first[2]).all()
    assert not np.allclose(first[0], first[1])
    small_scorer.model = None  # a known sentence needs no model
    assert (small_scorer.texts(["a whale here"])[0] == first[1]).all()


def test_the_record_names_model_weights_and_preprocessing(small_scorer):
    record = small_scorer.record
    assert record["scorer"] == "random"
    assert record["scorer_weights"] == "0" * 64
    assert "Resize" in record["scorer_preprocess"]
    assert "0x" not in record["scorer_preprocess"]


def test_what_is_not_a_picture_is_refused(small_scorer, clip):
    with pytest.raises(InputError, match="uint8"):
        small_scorer.images(clip.frames.astype(np.float32))
    with pytest.raises(InputError, match="at least one"):
        small_scorer.images(clip.frames[:0])


def test_damaged_weights_are_named_not_scored(random_clip_model, clip):
    import copy

    model, preprocess, tokenizer = random_clip_model
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.visual.proj.fill_(float("nan"))
    with pytest.raises(InputError, match="damaged"):
        Scorer(broken, preprocess, tokenizer, "broken", "0").images(clip.frames[:1])


def test_words_beyond_the_text_encoder_are_found(small_scorer):
    assert small_scorer.find_cut_text("one two three four five six") == ""
    assert small_scorer.find_cut_text("one two  three four five six seven\neight") == "seven eight"
    assert small_scorer.find_cut_text("") == ""
