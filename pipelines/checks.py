"""Asset checks. A blocking check that fails stops the run before anything downstream is built.

All are cheap, so they run in the step of the asset that they check: a step of their own would cost more than the check.
The promotion gates are checks so that the UI shows them. `promoted_adapter` applies the same gates again, because a
check only stops the run that it is part of.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_shared.utils.warnings import PreviewWarning

from pipelines.partitions import motions
from pipelines.promotion.gates import GateResult
from pipelines.settings import GateConfig
from pipelines.store.version_store import Handle

if TYPE_CHECKING:
    import pandas as pd

# A gate's result belongs to one motion, so these checks are partitioned, which Dagster 1.13 calls a preview feature.
warnings.filterwarnings("ignore", category=PreviewWarning, message=".*partitions_def on an AssetCheckSpec.*")

MAX_WEAK_SHARE = 0.5
"""Share of weak mask sequences from which the check warns."""
GATE_DESCRIPTIONS = {
    "iou_gate": "The object follows held-out masks.",
    "alignment_gate": "The videos match their prompts.",
    "no_regression_gate": "The adapter is at most `gates.max_regression` worse than the promoted one.",
}
GATE_CHECK_METRICS = ("iou", "alignment", "consistency", "motion")
"""Metrics in the metadata of every gate's check."""
METRIC_CHECKS = {
    "follows_masks": "The objects follow their control masks.",
    "mask_term_improves_iou": "The objects follow their masks better with the mask term than without it.",
    "videos_have_motion": "The objects move. A still video would have perfect consistency.",
}


def _specify(asset: str, descriptions: Mapping[str, str], blocking: bool = False, partitioned: bool = False) -> Any:
    """The specs of an asset's checks, for `check_specs` of its decorator. descriptions: by the name of the check."""
    partitions = motions if partitioned else None
    return [
        dg.AssetCheckSpec(name, asset=asset, blocking=blocking, description=text, partitions_def=partitions)
        for name, text in descriptions.items()
    ]


CLIPS_CHECKS = _specify("clips", {"has_usable_clips": "At least one clip is usable."}, blocking=True)
MASKS_CHECKS = _specify("foreground_masks", {"masks_are_reliable": "Most mask sequences are reliable."})
GROUPS_CHECKS = _specify(
    "motion_groups",
    {"has_trainable_motions": "At least one motion has enough clips, and labels agree with masks."},
)
ADAPTER_CHECKS = _specify(
    "motion_adapter", {"finite_loss": "Every training loss is finite."}, blocking=True, partitioned=True
)
GATE_CHECKS = _specify("adapter_evaluation", GATE_DESCRIPTIONS, blocking=True, partitioned=True)
VIDEO_CHECKS = _specify("video_metrics", METRIC_CHECKS, partitioned=True)


def with_checks(
    result: dg.MaterializeResult[Handle], checks: Iterable[dg.AssetCheckResult]
) -> dg.MaterializeResult[Handle]:
    """The same result with the results of its checks."""
    return dg.MaterializeResult(
        value=result.value, data_version=result.data_version, metadata=result.metadata, check_results=list(checks)
    )


def check_clips(usable: int, refused: int) -> list[dg.AssetCheckResult]:
    """usable, refused: how many clips can be used, and how many files are in the quarantine."""
    reason = "ok" if usable else "No clip is usable. The quarantine table gives the reason for each file."
    metadata = {"clips": usable, "quarantined": refused}
    return [
        dg.AssetCheckResult(check_name="has_usable_clips", passed=usable > 0, metadata=metadata, description=reason)
    ]


def check_masks(quality: pd.DataFrame) -> list[dg.AssetCheckResult]:
    """quality: the table of `read_mask_quality`."""
    share = float(quality["weak"].mean()) if len(quality) else 1.0
    return [
        dg.AssetCheckResult(
            check_name="masks_are_reliable",
            passed=share <= MAX_WEAK_SHARE,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"weak_share": share, "weak": dg.MetadataValue.json(list(quality.loc[quality["weak"], "clip"]))},
        )
    ]


def check_groups(groups: Mapping[str, Any]) -> list[dg.AssetCheckResult]:
    """groups: of `read_motion_groups`."""
    return [
        dg.AssetCheckResult(
            check_name="has_trainable_motions",
            passed=bool(groups["motions"]) and not groups["disagreements"],
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "motions": len(groups["motions"]),
                "undersized": dg.MetadataValue.json(groups["undersized"]),
                "disagreements": dg.MetadataValue.json(groups["disagreements"]),
            },
        )
    ]


def check_losses(curve: Sequence[Mapping[str, Any]]) -> list[dg.AssetCheckResult]:
    """curve: the training curve, a row per logged step."""
    losses = [float(row["loss"]) for row in curve if "loss" in row]
    finite = all(map(math.isfinite, losses))
    metadata: dict[str, Any] = {"steps_logged": len(losses)}
    if losses and finite:
        metadata |= {"first_loss": losses[0], "last_loss": losses[-1]}
    return [dg.AssetCheckResult(check_name="finite_loss", passed=finite, metadata=metadata)]


def check_gates(
    results: Iterable[GateResult], metrics: Mapping[str, Any], gates: GateConfig
) -> list[dg.AssetCheckResult]:
    """Between training and generation: an adapter that fails a gate is not promoted. metrics: of its evaluation."""
    limits: dict[str, dict[str, float]] = {
        "iou_gate": {"threshold": gates.min_iou},
        "alignment_gate": {"threshold": gates.min_alignment},
        "no_regression_gate": {"max_regression": gates.max_regression},
    }
    shown_metrics = {name: metrics[name] for name in GATE_CHECK_METRICS if name in metrics}
    return [
        dg.AssetCheckResult(
            check_name=result.gate,
            passed=result.passed,
            description=result.reason,
            metadata={**shown_metrics, **limits.get(result.gate, {})},
        )
        for result in results
    ]


def check_videos(rows: pd.DataFrame, min_iou: float) -> list[dg.AssetCheckResult]:
    """Compare the means of the videos' metrics with their thresholds. rows: a row per video."""
    from mvmodel.metrics.flow import MIN_SPEED
    from mvmodel.metrics.report_card import summarise

    card = summarise(rows)
    iou, motion = _find_mean(card, "full", "iou"), _find_mean(card, "full", "motion")
    gain = iou - _find_mean(card, "no_mask", "iou")
    row = card[(card["condition"] == "full") & (card["metric"] == "iou")]
    counts = {name: int(row[name].iloc[0]) for name in ("videos", "prompts", "seeds") if len(row)}
    consistency = _find_mean(card, "full", "consistency")
    stillness = {
        name: round(v, 4)
        for name, v in zip(("consistency", "motion"), (consistency, motion), strict=True)
        if math.isfinite(v)
    }
    return [
        _compare("follows_masks", "IoU", iou, min_iou, counts),
        _compare("mask_term_improves_iou", "the IoU gained by the mask term", gain, 0.0, counts),
        _compare("videos_have_motion", "motion in pixels per frame", motion, MIN_SPEED, {**counts, **stillness}),
    ]


def _find_mean(card: pd.DataFrame, condition: str, metric: str) -> float:
    """A mean from a table of `summarise`; NaN if it has none."""
    rows = card[(card["condition"] == condition) & (card["metric"] == metric)]
    return float(rows["mean"].iloc[0]) if len(rows) else math.nan


def _compare(name: str, label: str, value: float, threshold: float, metadata: dict[str, Any]) -> dg.AssetCheckResult:
    """A warning unless `value` is above `threshold`. A value that was not measured passes."""
    missing = math.isnan(value)  # for example, no video was generated without the mask term
    return dg.AssetCheckResult(
        check_name=name,
        passed=missing or value > threshold,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{label} was not measured" if missing else f"{label} is {value:.3f}; the minimum is {threshold:g}",
        metadata={**({} if missing else {"measured": round(value, 4)}), "threshold": threshold, **metadata},
    )
