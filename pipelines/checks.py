"""Asset checks. A blocking check that fails stops the run before anything downstream is built.

The promotion gates are checks so that the UI shows them. `promoted_adapter` applies the same gates again, because a
check only stops the run that it is part of.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_shared.utils.warnings import PreviewWarning

from pipelines.assets.decorator import GPU_POOL, user_errors_as_failures
from pipelines.assets.motion import read_motion_groups
from pipelines.assets.training import read_training_curve
from pipelines.partitions import motions
from pipelines.promotion import promotion
from pipelines.promotion.promotion import TUNED_ADAPTER
from pipelines.resources import PackResource, Settings
from pipelines.settings import GateConfig
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.materializations import load_current
from pipelines.store.version_store import Handle

if TYPE_CHECKING:
    import pandas as pd

# A gate's result belongs to one motion, so these checks are partitioned, which Dagster 1.13 calls a preview feature.
warnings.filterwarnings("ignore", category=PreviewWarning, message=".*partitions_def on an AssetCheckSpec.*")

MAX_WEAK_SHARE = 0.5
"""Share of weak mask sequences from which the check warns."""


@dg.asset_check(asset="clips", blocking=True, description="At least one clip is usable.")
@user_errors_as_failures
def has_usable_clips(clips: Handle) -> dg.AssetCheckResult:
    import pandas as pd

    usable, refused = (len(pd.read_parquet(clips.folder / f"{name}.parquet")) for name in ("catalogue", "quarantine"))
    reason = "ok" if usable else "No clip is usable. The quarantine table gives the reason for each file."
    metadata = {"clips": usable, "quarantined": refused}
    return dg.AssetCheckResult(passed=usable > 0, metadata=metadata, description=reason)


@dg.asset_check(asset="foreground_masks", description="Most mask sequences are reliable.")
@user_errors_as_failures
def masks_are_reliable(foreground_masks: Handle) -> dg.AssetCheckResult:
    from mvmodel.segmentation.catalogue_masks import read_mask_quality

    quality = read_mask_quality(foreground_masks.folder)
    share = float(quality["weak"].mean()) if len(quality) else 1.0
    return dg.AssetCheckResult(
        passed=share <= MAX_WEAK_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"weak_share": share, "weak": dg.MetadataValue.json(list(quality.loc[quality["weak"], "clip"]))},
    )


@dg.asset_check(asset="motion_groups", description="At least one motion has enough clips, and labels agree with masks.")
@user_errors_as_failures
def has_trainable_motions(motion_groups: Handle) -> dg.AssetCheckResult:
    groups = read_motion_groups(motion_groups.folder)
    return dg.AssetCheckResult(
        passed=bool(groups["motions"]) and not groups["disagreements"],
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "motions": len(groups["motions"]),
            "undersized": dg.MetadataValue.json(groups["undersized"]),
            "disagreements": dg.MetadataValue.json(groups["disagreements"]),
        },
    )


@dg.asset_check(
    asset="motion_adapter", blocking=True, partitions_def=motions, description="Every training loss is finite."
)
@user_errors_as_failures
def finite_loss(context: dg.AssetCheckExecutionContext, store: ArtifactStore) -> dg.AssetCheckResult:
    handle = load_current(context.instance, store.store, "motion_adapter", context.partition_key)
    losses = [float(row["loss"]) for row in read_training_curve(handle.folder / TUNED_ADAPTER) if "loss" in row]
    finite = all(map(math.isfinite, losses))
    metadata: dict[str, Any] = {"steps_logged": len(losses)}
    if losses and finite:
        metadata |= {"first_loss": losses[0], "last_loss": losses[-1]}
    return dg.AssetCheckResult(passed=finite, metadata=metadata)


GATE_DESCRIPTIONS = {
    "iou_gate": "The object follows held-out masks.",
    "alignment_gate": "The videos match their prompts.",
    "no_regression_gate": "The adapter is at most `gates.max_regression` worse than the promoted one.",
}
GATE_CHECK_METRICS = ("iou", "alignment", "consistency", "motion")
"""Metrics in the metadata of every gate's check."""


@dg.multi_asset_check(
    name="promotion_gates",
    specs=[
        dg.AssetCheckSpec(name, asset="adapter_evaluation", blocking=True, description=text, partitions_def=motions)
        for name, text in GATE_DESCRIPTIONS.items()
    ],
    pool=GPU_POOL,
)
@user_errors_as_failures
def promotion_gates(
    context: dg.AssetCheckExecutionContext, settings: Settings, pack: PackResource, store: ArtifactStore
) -> Iterator[dg.AssetCheckResult]:
    """Between training and generation. An adapter that fails a gate is not promoted."""
    motion = context.partition_key
    adapter, evaluation = (
        load_current(context.instance, store.store, name, motion) for name in ("motion_adapter", "adapter_evaluation")
    )
    metrics = json.loads((evaluation.folder / "metrics.json").read_text())
    gates = settings.read("gates", GateConfig)
    limits: dict[str, dict[str, float]] = {
        "iou_gate": {"threshold": gates.min_iou},
        "alignment_gate": {"threshold": gates.min_alignment},
        "no_regression_gate": {"max_regression": gates.max_regression},
    }
    for result in promotion.judge_adapter(context.instance, store.store, settings, pack, adapter, evaluation):
        yield dg.AssetCheckResult(
            asset_key="adapter_evaluation",
            check_name=result.gate,
            passed=result.passed,
            description=result.reason,
            metadata={
                **{name: metrics[name] for name in GATE_CHECK_METRICS if name in metrics},
                **limits.get(result.gate, {}),
            },
        )


METRIC_CHECKS = {
    "follows_masks": "The objects follow their control masks.",
    "mask_term_improves_iou": "The objects follow their masks better with the mask term than without it.",
    "videos_have_motion": "The objects move. A still video would have perfect consistency.",
}


@dg.multi_asset_check(
    name="video_metric_checks",
    specs=[
        dg.AssetCheckSpec(name, asset="video_metrics", description=text, partitions_def=motions)
        for name, text in METRIC_CHECKS.items()
    ],
)
@user_errors_as_failures
def video_metric_checks(
    context: dg.AssetCheckExecutionContext, settings: Settings, store: ArtifactStore
) -> Iterator[dg.AssetCheckResult]:
    """Compare the means of the videos' metrics with their thresholds."""
    import pandas as pd

    from mvmodel.metrics.flow import MIN_SPEED
    from mvmodel.metrics.report_card import summarise

    handle = load_current(context.instance, store.store, "video_metrics", context.partition_key)
    card = summarise(pd.read_parquet(handle.folder / "metrics.parquet"))
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
    min_iou = settings.read("gates", GateConfig).min_iou
    yield _compare("follows_masks", "IoU", iou, min_iou, counts)
    yield _compare("mask_term_improves_iou", "the IoU gained by the mask term", gain, 0.0, counts)
    yield _compare("videos_have_motion", "motion in pixels per frame", motion, MIN_SPEED, {**counts, **stillness})


def _find_mean(card: pd.DataFrame, condition: str, metric: str) -> float:
    """A mean from a table of `summarise`; NaN if it has none."""
    rows = card[(card["condition"] == condition) & (card["metric"] == metric)]
    return float(rows["mean"].iloc[0]) if len(rows) else math.nan


def _compare(name: str, label: str, value: float, threshold: float, metadata: dict[str, Any]) -> dg.AssetCheckResult:
    """A warning unless `value` is above `threshold`. A value that was not measured passes."""
    missing = math.isnan(value)  # for example, no video was generated without the mask term
    return dg.AssetCheckResult(
        asset_key="video_metrics",
        check_name=name,
        passed=missing or value > threshold,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{label} was not measured" if missing else f"{label} is {value:.3f}; the minimum is {threshold:g}",
        metadata={**({} if missing else {"measured": round(value, 4)}), "threshold": threshold, **metadata},
    )


all_checks = [
    has_usable_clips,
    masks_are_reliable,
    has_trainable_motions,
    finite_loss,
    promotion_gates,
    video_metric_checks,
]
