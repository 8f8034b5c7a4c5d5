"""When an adapter may be used: the rules, apart from where they are applied (`checks.py`, `assets/training.py`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.settings import GateConfig

GATE_METRICS = ("iou", "alignment")


@dataclass(frozen=True)
class GateResult:
    """One gate: its name, whether it was passed, and why in words."""

    gate: str
    passed: bool
    reason: str


def apply_gates(
    candidate: Mapping[str, float], config: GateConfig, in_use: Mapping[str, float] | None = None
) -> list[GateResult]:
    """Every gate's verdict on an evaluation's metrics; `in_use` are those of the adapter now promoted, on the same set.

    A metric that is missing or no number fails its gate.
    """
    verdicts = []
    for name in GATE_METRICS:
        floor, value = float(getattr(config, f"min_{name}")), float(candidate.get(name, math.nan))
        said = f"{name} {value:.3f}, at least {floor:.3f} is asked"
        verdicts.append(GateResult(f"{name}_gate", bool(value >= floor), said))
    if in_use is None:
        return [*verdicts, GateResult("no_regression_gate", True, "no adapter is in use yet")]
    worse = {n: float(in_use[n]) - float(candidate.get(n, math.nan)) for n in GATE_METRICS if n in in_use}
    failed = {n: loss for n, loss in worse.items() if not loss <= config.max_regression}
    reason = (
        ", ".join(f"{n} {-loss:+.3f} against the adapter in use" for n, loss in worse.items()) or "nothing to compare"
    )
    return [
        *verdicts,
        GateResult("no_regression_gate", not failed, f"{reason}; at most {config.max_regression} worse is let pass"),
    ]
