from __future__ import annotations

from pipelines.promotion.gates import apply_gates
from pipelines.settings import GateConfig

CONFIG = GateConfig(min_iou=0.5, min_alignment=0.2, max_regression=0.05)
GOOD = {"iou": 0.8, "alignment": 0.3, "videos": 2, "missing": {}}


def results(*args) -> dict[str, tuple[bool, str]]:
    return {result.gate: (result.passed, result.reason) for result in apply_gates(*args)}


def test_a_good_adapter_passes_every_gate():
    assert all(passed for passed, _ in results(GOOD, CONFIG).values())
    assert all(passed for passed, _ in results(GOOD, CONFIG, GOOD).values())


def test_a_metric_below_its_minimum_fails_its_gate_alone():
    found = results({**GOOD, "iou": 0.4}, CONFIG)
    assert found["iou_gate"] == (False, "iou is 0.400; the minimum is 0.500")
    assert found["alignment_gate"][0] and found["no_regression_gate"][0]


def test_an_adapter_whose_mask_term_does_nothing_fails_the_iou_gate():
    assert results({**GOOD, "iou_without_mask": 0.3}, CONFIG)["iou_gate"][0]
    passed, reason = results({**GOOD, "iou_without_mask": 0.8}, CONFIG)["iou_gate"]
    assert not passed and "the mask term adds 0.000" in reason


def test_a_metric_that_is_missing_in_one_video_fails_its_gate_and_names_both():
    found = results({**GOOD, "missing": {"alignment": ["slide-02"]}}, CONFIG, GOOD)
    assert found["alignment_gate"] == (False, "alignment is missing in video slide-02")
    assert not found["no_regression_gate"][0] and "slide-02" in found["no_regression_gate"][1]
    assert found["iou_gate"][0]


def test_a_metric_that_is_missing_altogether_fails_its_gate():
    for metrics in ({"alignment": 0.3}, {**GOOD, "iou": float("nan")}):
        passed, reason = results(metrics, CONFIG)["iou_gate"]
        assert not passed and reason == "iou was not measured"


def test_the_promoted_adapter_cannot_be_compared_on_a_metric_it_lacks():
    passed, reason = results(GOOD, CONFIG, {**GOOD, "missing": {"iou": ["a", "b"]}})["no_regression_gate"]
    assert not passed and "iou of the promoted adapter is missing in videos a, b" in reason


def test_a_drop_beyond_the_limit_is_a_regression():
    assert results({**GOOD, "iou": 0.76}, CONFIG, GOOD)["no_regression_gate"][0]
    passed, reason = results({**GOOD, "iou": 0.7}, CONFIG, GOOD)["no_regression_gate"]
    assert not passed and "iou -0.100" in reason
