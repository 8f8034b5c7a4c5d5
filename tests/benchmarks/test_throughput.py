"""The throughput benchmark's stand-in: all of a real segmenter's work, the oracle's answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.oracle import OracleSegmenter
from benchmarks.throughput import OracleAnswers, measure_throughput
from mvmodel.segmentation.davis_metrics import region_similarity
from mvmodel.segmentation.sam_loading import build_tiny_sam
from mvmodel.segmentation.segmenter import Segmenter
from mvmodel.segmentation.tracking import extract_masks
from mvmodel.world.render import HELD_OUT, random_clip


def test_true_answers_cost_a_real_encoder_and_decoder() -> None:
    torch.manual_seed(0)
    segmenter = Segmenter(build_tiny_sam(), batch_size=3)
    encoded: list[int] = []
    decoded: list[int] = []
    segmenter.sam.image_encoder.register_forward_hook(lambda *call: encoded.append(len(call[2])))
    segmenter.sam.mask_decoder.register_forward_hook(lambda *call: decoded.append(len(call[2][0])))
    clip = random_clip((HELD_OUT, 3, 99), frames=8)
    answering: Any = OracleAnswers(segmenter, OracleSegmenter(clip.frames, clip.masks))

    masks = extract_masks(clip.frames, answering).sequence.masks
    assert region_similarity(masks, clip.masks) > 0.99, "untrained weights would find nothing"
    assert encoded == [3, 3, 2], "every frame once, in batches"
    assert sum(decoded) == answering.prompts >= 8 + 7, "every prompt goes through the real decoder"

    frame = answering.encode(clip.frames)[2]
    before = len(decoded)
    mask, _ = answering.predict(frame, mask_prompt=clip.masks[2])
    assert np.array_equal(mask[0], clip.masks[2]) and len(decoded) == before + 1


@pytest.mark.slow
def test_the_whole_way_costs_more_than_the_encoder_alone(tiny_pack: Any) -> None:
    figures = measure_throughput(4)
    assert set(figures) == {"frames_per_second", "encoder_frames_per_second", "times_encoder"}
    assert figures["times_encoder"] > 1
