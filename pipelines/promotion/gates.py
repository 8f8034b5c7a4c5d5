"""The promotion gates: what an adapter must reach. `checks.py` and `assets/training.py` apply them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.settings import GateConfig

GATE_METRICS = ("iou", "alignment")
IOU_WITHOUT_MASK = "iou_without_mask"
"""In the metrics of an evaluation: the mean IoU of the same videos generated with the mask term off."""


@dataclass(frozen=True)
class GateResult:
    """One gate's name, whether the adapter passed it, and why."""

    gate: str
    passed: bool
    reason: str


def apply_gates(
    candidate: Mapping[str, Any], config: GateConfig, in_use: Mapping[str, Any] | None = None
) -> list[GateResult]:
    """Apply every gate to the metrics of an evaluation.

    candidate, in_use: the content of metrics.json of the evaluated adapter, and of the promoted one on the same videos.
    A metric that is missing in any video fails its gate, and the reason names the metric and the video.
    """
    results = []
    for name in GATE_METRICS:
        minimum, missing = float(getattr(config, f"min_{name}")), _describe_missing(candidate, name)
        if missing:
            results.append(GateResult(f"{name}_gate", False, missing))
            continue
        reason = f"{name} is {candidate[name]:.3f}; the minimum is {minimum:.3f}"
        passed = bool(candidate[name] >= minimum)
        if name == "iou" and IOU_WITHOUT_MASK in candidate:
            gain = float(candidate[name]) - float(candidate[IOU_WITHOUT_MASK])
            reason += f"; the mask term adds {gain:.3f}, and has to add more than {config.min_mask_gain:.3f}"
            passed = passed and gain > config.min_mask_gain
        results.append(GateResult(f"{name}_gate", passed, reason))
    return [*results, _check_regression(candidate, config, in_use)]


def _check_regression(candidate: Mapping[str, Any], config: GateConfig, in_use: Mapping[str, Any] | None) -> GateResult:
    gate = "no_regression_gate"
    if in_use is None:
        return GateResult(gate, True, "no adapter is promoted yet")
    reasons, passed = [], True
    for name in GATE_METRICS:
        missing = _describe_missing(candidate, name) or _describe_missing(in_use, name, " of the promoted adapter")
        if missing:
            reasons.append(missing)
            passed = False
            continue
        change = float(candidate[name]) - float(in_use[name])
        reasons.append(f"{name} {change:+.3f} against the promoted adapter")
        passed = passed and -change <= config.max_regression
    return GateResult(gate, passed, f"{', '.join(reasons)}; the largest allowed drop is {config.max_regression}")


def _describe_missing(metrics: Mapping[str, Any], name: str, owner: str = "") -> str:
    """A sentence for a metric that a video lacks, "" where every video has it."""
    videos = metrics.get("missing", {}).get(name)
    if videos:
        noun = "video" if len(videos) == 1 else "videos"
        return f"{name}{owner} is missing in {noun} {', '.join(videos)}"
    if not math.isfinite(float(metrics.get(name, math.nan))):
        return f"{name}{owner} was not measured"
    return ""
