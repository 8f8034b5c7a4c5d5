"""Which videos are generated for comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.assets.generation import _select_conditions
from pipelines.assets.training import SCRATCH_ADAPTER
from pipelines.promotion.promotion import TUNED_ADAPTER
from pipelines.settings import ComparisonConfig


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    """A version of `motion_adapter`: tuned from the start adapter, and from scratch."""
    for name in (TUNED_ADAPTER, SCRATCH_ADAPTER):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / TUNED_ADAPTER / "train.json").write_text(json.dumps({"config": {"init_from": "start"}}))
    return tmp_path


def test_comparisons_are_generated_for_as_many_requests_as_asked_for(adapters: Path) -> None:
    everything = {"full": None, "not_tuned": None, "no_mask": None, "scratch": None}
    assert _select_conditions(ComparisonConfig(scheduler_requests=0), adapters) == everything
    few = ComparisonConfig(scratch_requests=2, scheduler_requests=1, no_mask=False)
    assert _select_conditions(few, adapters) == {
        "full": None, "not_tuned": None, "scratch": 2, "ddim_50": 1, "multistep_20": 1,
    }  # fmt: skip


def test_comparisons_without_their_adapter_are_left_out(adapters: Path) -> None:
    (adapters / SCRATCH_ADAPTER).rmdir()
    (adapters / TUNED_ADAPTER / "train.json").write_text(json.dumps({"config": {"init_from": None}}))
    config = ComparisonConfig(scratch_requests=2, scheduler_requests=0)
    assert _select_conditions(config, adapters) == {"full": None, "no_mask": None}
