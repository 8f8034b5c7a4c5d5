"""What reports and their assets show: videos with metrics, the ablation for the paper's table, versions over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipelines.assets import ui_metadata
from pipelines.store.materializations import latest_materialization, list_materializations, load_current
from pipelines.store.version_store import SHORT, BrokenVersion, Handle, VersionStore

if TYPE_CHECKING:
    import pandas as pd

    from mvmodel.reports.entries import VideoEntry

ABLATION = "ablation_study"
"""The experiment whose metrics stand in the paper's table."""
TABLE_METRICS = ("iou", "consistency", "motion", "alignment", "motion_cosine", "colour_drift", "flicker")
"""What the UI's tables show; files and plots have every metric. Motion stands beside consistency."""
HEADLINE_METRICS = TABLE_METRICS[:4]


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
    """The full method's means of the four metrics that matter most, in front of all others."""
    full = rows[rows["condition"] == "full"]
    return ui_metadata.finite_numbers({name: full[name].mean() for name in HEADLINE_METRICS if name in full.columns})


def comparison_table(rows: pd.DataFrame) -> dg.TableMetadataValue:
    """One row a metric: the full method's mean with its interval, the other conditions' means, and the counts."""
    import pandas as pd

    from mvmodel.metrics.report_card import summarise
    from mvmodel.reports.formatting import format_count

    card = summarise(rows, metrics=TABLE_METRICS)
    made = rows.groupby("condition")["name"].nunique()
    most = made.get("full")
    others = [name for name in dict.fromkeys(card["condition"]) if name != "full"]
    told = {
        name: name if made[name] == most else f"{name} ({format_count(int(made[name]), 'video')})" for name in others
    }
    lines = []
    for name, group in card.groupby("metric", sort=False):
        means = {str(row["condition"]): row for row in group.to_dict(orient="records")}
        full = means.get("full", {})
        own = {"full": full.get("mean"), "low": full.get("low"), "high": full.get("high")}
        counts = {key: full.get(key) for key in ("videos", "prompts", "seeds")}
        lines.append({"metric": name, **own, **{told[o]: means.get(o, {}).get("mean") for o in others}, **counts})
    return ui_metadata.table(pd.DataFrame(lines))


def leaderboard_table(rows: pd.DataFrame) -> dg.TableMetadataValue:
    """One row a motion and condition: its means and the counts behind them."""
    import pandas as pd

    lines = []
    for (motion, condition), group in rows.groupby(["slug", "condition"], sort=False) if len(rows) else []:
        metrics = ui_metadata.finite_numbers(
            {name: group[name].mean() for name in TABLE_METRICS if name in group.columns}
        )
        counts = {"videos": len(group), "prompts": group["prompt"].nunique(), "seeds": group["seed"].nunique()}
        lines.append({"name": motion, "condition": condition, **metrics, **counts})
    return ui_metadata.table(pd.DataFrame(lines))


def mean_metrics(rows: pd.DataFrame) -> dict[str, float]:
    """The mean of every metric in a table of videos."""
    from mvmodel.metrics.score import METRICS

    return ui_metadata.finite_numbers({name: rows[name].mean() for name in METRICS if name in rows.columns})


def read_video_entries(metrics: Path, videos: Path, requests: Path, before: str = "") -> list[VideoEntry]:
    """Every video of a `video_metrics` version, as reports take them; `before` goes in front of their names."""
    import pandas as pd

    from mvmodel.generation.requests import read_requests
    from mvmodel.masks import MaskSequence
    from mvmodel.metrics.score import METRICS
    from mvmodel.reports.entries import VideoEntry
    from mvmodel.video.frames import read_frames

    asked = {request.name: request for request in read_requests(requests / "requests.csv")}
    entries = []
    for row in pd.read_parquet(metrics / "metrics.parquet").to_dict(orient="records"):
        name, condition = str(row["name"]), str(row["condition"])
        frames = read_frames(videos / condition / f"{name}.npz")
        masks = MaskSequence.load(asked[name].masks)
        entries.append(
            VideoEntry(
                name=f"{before}{name}",
                prompt=str(row["prompt"]),
                condition=condition,
                frames=frames,
                masks=masks.masks[: len(frames)],
                fps=masks.fps,
                metrics=ui_metadata.finite_numbers({metric: row.get(metric) for metric in METRICS}),
                detected=MaskSequence.load(metrics / "detections" / condition / f"{name}.npz").masks,
                seed=int(row["seed"]),
            )
        )
    return entries


def report_versions(instance: dg.DagsterInstance, motion: str) -> list[str]:
    """The versions of a motion's report, oldest first, each once."""
    events = reversed(list_materializations(instance, dg.AssetKey("metric_report"), motion))
    return list(dict.fromkeys(str(event.metadata["sha256"].value) for event in events))


def read_version_history(store: VersionStore, past: Mapping[str, list[str]]) -> pd.DataFrame:
    """One row a motion and stored version, oldest first: motion, version, when, adapter, the full method's means."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for motion, shas in past.items():
        for number, sha in enumerate(shas, 1):
            try:
                handle = store.open("metric_report", motion, sha)
            except BrokenVersion:  # collected as garbage: its place in the count stays
                continue
            made = store.version("metric_report", motion, sha)
            table = pd.read_parquet(handle.folder / "metrics.parquet")
            metrics = mean_metrics(table[table["condition"] == "full"])
            metrics.pop("motion", None)  # the slug's column here
            said = {"motion": motion, "version": number, "when": made.created, "promoted": True}
            rows.append({**said, "adapter": str(made.source.get("adapter", ""))[:SHORT], **metrics})
    return pd.DataFrame(rows)
