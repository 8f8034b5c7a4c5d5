"""Asset checks. Blocking ones keep what is built on a bad result from being built in the same run.

The promotion's gates stand here so that the UI shows them; `promoted_adapter` asks the same rules again, since a check
only stops the run that it is in.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from typing import Any

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

# Partitions on checks are what makes a gate's verdict one motion's; Dagster 1.13 warns that they are a preview.
warnings.filterwarnings("ignore", category=PreviewWarning, message=".*partitions_def on an AssetCheckSpec.*")

MAX_WEAK_SHARE = 0.5
"""More weak mask sequences than this share is worth a warning."""


@dg.asset_check(asset="clips", blocking=True, description="At least one clip is usable.")
@user_errors_as_failures
def has_usable_clips(clips: Handle) -> dg.AssetCheckResult:
    import pandas as pd

    usable, refused = (len(pd.read_parquet(clips.folder / f"{n}.parquet")) for n in ("catalogue", "quarantine"))
    said = "ok" if usable else "no clip can be used; the quarantine table says why for each file"
    return dg.AssetCheckResult(passed=usable > 0, metadata={"clips": usable, "quarantined": refused}, description=said)


@dg.asset_check(asset="foreground_masks", description="Most mask sequences are reliable.")
@user_errors_as_failures
def masks_are_reliable(foreground_masks: Handle) -> dg.AssetCheckResult:
    import pandas as pd

    quality = pd.read_parquet(foreground_masks.folder / "quality.parquet")
    share = float(quality["weak"].mean()) if len(quality) else 1.0
    return dg.AssetCheckResult(
        passed=share <= MAX_WEAK_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"weak_share": share, "weak": dg.MetadataValue.json(list(quality.loc[quality["weak"], "clip"]))},
    )


@dg.asset_check(asset="motion_groups", description="At least one motion has enough clips; labels and masks agree.")
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
    asset="motion_adapter", blocking=True, partitions_def=motions, description="Every loss of the training is finite."
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
    "alignment_gate": "The videos show what their prompts say.",
    "no_regression_gate": "The adapter is not worse than the one in use by more than the tolerance.",
}


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
    """Between training and generation: an adapter that fails one of these is not promoted."""
    motion = context.partition_key
    adapter, evaluation = (
        load_current(context.instance, store.store, name, motion) for name in ("motion_adapter", "adapter_evaluation")
    )
    metrics = json.loads((evaluation.folder / "metrics.json").read_text())
    gates = settings.read("gates", GateConfig)
    thresholds: dict[str, dict[str, float]] = {
        "iou_gate": {"threshold": gates.min_iou},
        "alignment_gate": {"threshold": gates.min_alignment},
        "no_regression_gate": {"max_regression": gates.max_regression},
    }
    for verdict in promotion.judge_adapter(context.instance, store.store, settings, pack, adapter, evaluation):
        yield dg.AssetCheckResult(
            asset_key="adapter_evaluation",
            check_name=verdict.gate,
            passed=verdict.passed,
            description=verdict.reason,
            metadata={
                **{name: metrics[name] for name in ("iou", "alignment", "consistency", "motion") if name in metrics},
                **thresholds.get(verdict.gate, {}),
            },
        )


METRIC_CHECKS = {
    "follows_masks": "The objects fill their control masks.",
    "mask_term_improves_iou": "With the mask term the objects fill their masks better than with it off.",
    "videos_have_motion": "The objects move: a frozen video would be the most consistent of all.",
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
    """What the videos' metrics say, each measured value beside the threshold that it is held against."""
    import pandas as pd

    from mvmodel.metrics.flow import MIN_SPEED
    from mvmodel.metrics.report_card import summarise

    handle = load_current(context.instance, store.store, "video_metrics", context.partition_key)
    card = summarise(pd.read_parquet(handle.folder / "metrics.parquet"))

    def mean(condition: str, metric: str) -> float:
        rows = card[(card["condition"] == condition) & (card["metric"] == metric)]
        return float(rows["mean"].iloc[0]) if len(rows) else math.nan

    full = card[(card["condition"] == "full") & (card["metric"] == "iou")]
    counts = {name: int(full[name].iloc[0]) for name in ("videos", "prompts", "seeds") if len(full)}
    held = {
        "follows_masks": (mean("full", "iou"), float(settings.read("gates", GateConfig).min_iou), "IoU"),
        "mask_term_improves_iou": (mean("full", "iou") - mean("no_mask", "iou"), 0.0, "IoU gained by the mask term"),
        "videos_have_motion": (mean("full", "motion"), MIN_SPEED, "motion in pixels per frame"),
    }
    for name, (measured, threshold, what) in held.items():
        skipped = math.isnan(measured)  # no video was made with the term off, say
        said = f"{what} was not measured" if skipped else f"{what} {measured:.3f}, above {threshold:g} is asked"
        beside = {metric: mean("full", metric) for metric in ("consistency", "motion")}
        yield dg.AssetCheckResult(
            asset_key="video_metrics",
            check_name=name,
            passed=skipped or measured > threshold,
            severity=dg.AssetCheckSeverity.WARN,
            description=said,
            metadata={
                **({} if skipped else {"measured": round(measured, 4)}),
                "threshold": threshold,
                **counts,
                **(
                    {n: round(v, 4) for n, v in beside.items() if math.isfinite(v)}
                    if name == "videos_have_motion"
                    else {}
                ),
            },
        )


all_checks = [
    has_usable_clips,
    masks_are_reliable,
    has_trainable_motions,
    finite_loss,
    promotion_gates,
    video_metric_checks,
]
