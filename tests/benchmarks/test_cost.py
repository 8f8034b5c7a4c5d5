"""What is compared computes what its name says."""

from __future__ import annotations

import pytest
import torch

from benchmarks.cost import exponent, interleaved
from benchmarks.variants import call
from tests.model.conftest import small_unet


@pytest.fixture
def small():
    from mvmodel.model.adapter import MotionMaskAdapter

    unet = small_unet()
    return unet, MotionMaskAdapter.for_unet(unet, mask_width=4).eval()


def test_repeated_keys_give_what_ours_gives_and_the_others_do_not(small):
    unet, adapter = small
    made = {name: call(name, unet, adapter, 3, 8)() for name in ("ours", "repeated", "full")}
    torch.testing.assert_close(made["repeated"], made["ours"], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(made["full"], made["ours"], atol=1e-2)
    assert call("image", unet, adapter, 3, 8)().shape == made["ours"].shape


def test_exponent_of_a_power_law():
    assert exponent([8, 16, 200], [8**1.5, 16**1.5, 200**1.5]) == pytest.approx(1.5)


def test_runs_take_turns():
    order: list[str] = []
    taken = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3 and set(taken) == {"a", "b"}
