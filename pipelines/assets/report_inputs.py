"""What reports and their assets show: videos with metrics, the ablation for the paper's table, versions over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipelines.assets import ui_metadata
from pipelines.store.materializations import latest_materialization, list_materializations, load_current
from pipelines.store.version_store import SHORT, BrokenVersion, Handle, VersionStore

if TYPE_CHECKING:
    import pandas as pd


ABLATION = "ablation_study"
"""The experiment whose metrics stand in the paper's table."""


def find_ablation(instance: dg.DagsterInstance, store: VersionStore, motion: str, adapter: Handle) -> Handle | None:
    """The motion's latest ablation, if there is one, whole, and of this adapter."""
    if latest_materialization(instance, dg.AssetKey(ABLATION), motion) is None:
        return None
    try:
        handle = load_current(instance, store, ABLATION, motion)
    except dg.Failure:  # collected as garbage: the report says how to run it again
        return None
    made = store.version(ABLATION, motion, handle.sha)
    return handle if made.source.get("adapter") == adapter.sha else None


def read_ablation_videos(studies: Sequence[Handle]) -> pd.DataFrame:
    """One row a video of finished ablations."""
    import pandas as pd

    return pd.concat([pd.read_parquet(study.folder / "videos.parquet") for study in studies], ignore_index=True)


def ablation_command(motion: str) -> str:
    """What runs the ablation of a motion."""
    return f"dagster asset materialize -m pipelines.definitions --select {ABLATION} --partition {motion}"


def headline_means(rows: pd.DataFrame) -> dict[str, float]:
    """The full method's means of the four most important metrics; they come first in the metadata."""
    from mvmodel.reports.tables import MAIN_METRICS

    full = rows[rows["condition"] == "full"]
    return ui_metadata.finite_numbers({name: full[name].mean() for name in MAIN_METRICS[:4] if name in full.columns})


def condition_means(rows: pd.DataFrame) -> dict[str, float]:
    """The mean of every metric: of the full method under its own name, of the other conditions as condition/metric."""
    from mvmodel.reports.summaries import compute_condition_means

    return ui_metadata.finite_numbers(compute_condition_means(rows))


def comparison_table(rows: pd.DataFrame) -> dg.TableMetadataValue:
    """One row per metric: the full method's mean with its interval, the other conditions' means, and the counts."""
    from mvmodel.reports.summaries import build_comparison

    return ui_metadata.table(build_comparison(rows))


def leaderboard_table(rows: pd.DataFrame) -> dg.TableMetadataValue:
    """One row per motion and condition: its means and the counts behind them."""
    from mvmodel.reports.summaries import build_leaderboard

    return ui_metadata.table(build_leaderboard(rows))


def report_versions(instance: dg.DagsterInstance, motion: str) -> list[str]:
    """The versions of a motion's report, oldest first, each once."""
    events = reversed(list_materializations(instance, dg.AssetKey("metric_report"), motion))
    return list(dict.fromkeys(str(event.metadata["sha256"].value) for event in events))


def read_version_history(store: VersionStore, past: Mapping[str, list[str]]) -> pd.DataFrame:
    """One row a motion and stored version, oldest first: motion, version, when, adapter, the full method's means."""
    import pandas as pd

    from mvmodel.reports.summaries import compute_mean_metrics

    rows: list[dict[str, Any]] = []
    for motion, shas in past.items():
        for number, sha in enumerate(shas, 1):
            try:
                handle = store.open("metric_report", motion, sha)
            except BrokenVersion:  # collected as garbage: its place in the count stays
                continue
            made = store.version("metric_report", motion, sha)
            table = pd.read_parquet(handle.folder / "metrics.parquet")
            means = compute_mean_metrics(table[table["condition"] == "full"])
            metrics = ui_metadata.finite_numbers(means)
            metrics.pop("motion", None)  # the slug's column here
            said = {"motion": motion, "version": number, "when": made.created, "promoted": True}
            rows.append({**said, "adapter": str(made.source.get("adapter", ""))[:SHORT], **metrics})
    return pd.DataFrame(rows)
