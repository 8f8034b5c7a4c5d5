"""Memory that is accounted on fake tensors."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.memory import account_decoding, trace_allocations
from mvmodel.packs.memory import FREE_SHARE_OF_CARD, LADDER


def test_storages_count_from_allocation_to_release():
    with trace_allocations() as trace:
        first = torch.zeros(1000)
        view = first.view(10, 100)
        assert trace.live == 4000
        second = first + 1
        del first
        assert trace.live == 8000
        del view, second
        assert trace.live == 0
        assert trace.peak == 8000


def test_attention_keeps_no_scores():
    with trace_allocations() as trace:
        x = torch.zeros(1, 2, 512, 8)
        torch.nn.functional.scaled_dot_product_attention(x, x, x)
        assert trace.peak < 4 * (2 * x.numel() + 2 * 2 * 512)


def test_slicing_decodes_with_less():
    whole, sliced = (account_decoding(plan, False, (4, 64, 64)) for plan in (LADDER[0], LADDER[-1]))
    assert sliced < whole


def test_the_ladder_is_what_the_recorded_run_accounted(repository):
    recorded = json.loads((repository / "benchmarks" / "results" / "memory.json").read_text())
    for plan in LADDER:
        peaks = recorded[plan.level]
        assert plan.weights_gb + plan.activations_gb == pytest.approx(peaks["training"], abs=0.2)
        assert peaks["peak"] < FREE_SHARE_OF_CARD * plan.card_gb
