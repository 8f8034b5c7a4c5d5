"""The counts that the claims of speed rest on."""

from __future__ import annotations

import pytest
import torch

from benchmarks.flops import count_flops, count_unet_flops


def test_a_matrix_product_counts_two_a_multiply_add():
    a, b = torch.empty(3, 5, device="meta"), torch.empty(5, 7, device="meta")
    assert count_flops(lambda: a @ b) == 2 * 3 * 5 * 7


@pytest.mark.slow
def test_the_goals_at_full_size_are_met():
    figures = count_unet_flops()
    assert figures["image_unet_tflop"] == pytest.approx(7.59, abs=0.01)
    assert figures["training_ratio"] <= 1.0
    assert figures["denoising_ratio"] < figures["training_ratio"]
    assert figures["trainable_millions"] <= 65
    assert figures["adapter_megabytes_fp16"] <= 130
