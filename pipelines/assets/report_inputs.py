"""What reports and their metadata are made from: the ablation, the versions of each motion, and means of metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mvmodel.metrics.config import describe_detection_frames
from mvmodel.text import describe_cut_text
from pipelines.assets import ui_metadata
from pipelines.assets.motion import read_motion_groups, read_motion_labels
from pipelines.resources import PackResource, Settings
from pipelines.store.materializations import latest_materialization, list_materializations, load_current
from pipelines.store.version_store import SHORT, BrokenVersion, Handle, VersionStore

if TYPE_CHECKING:
    import pandas as pd

    from mvmodel.packs.info import PackInfo
    from mvmodel.reports.entries import VideoEntry

ABLATION = "ablation_study"
"""The experiment whose metrics are in the report's table of the paper."""
HEADLINE_COUNT = 5
"""Metrics in front of all others in the metadata: the first ones of `MAIN_METRICS`."""


def find_ablation(instance: dg.DagsterInstance, store: VersionStore, motion: str, adapter: Handle) -> Handle | None:
    """The motion's latest ablation if it exists and used this adapter, else None."""
    if latest_materialization(instance, dg.AssetKey(ABLATION), motion) is None:
        return None
    try:
        handle = load_current(instance, store, ABLATION, motion)
    except dg.Failure:  # collected as garbage; the report says how to run it again
        return None
    version = store.version(ABLATION, motion, handle.sha)
    return handle if version.source.get("adapter") == adapter.sha else None


def motion_label(instance: dg.DagsterInstance, store: VersionStore, motion: str) -> str:
    """A motion as the manifest spells it, for show; its slug if the manifest has nothing else or was never read."""
    if latest_materialization(instance, dg.AssetKey("motion_groups")) is None:
        return motion
    try:
        return read_motion_labels(load_current(instance, store, "motion_groups").folder).get(motion, motion)
    except (dg.Failure, FileNotFoundError):  # collected as garbage
        return motion


def describe_training_footage(store: VersionStore, motion: str, training_set: Handle, pack: PackInfo) -> list[str]:
    """A sentence if the pack's image model does not know clips that an adapter was trained on or measured with."""
    from mvmodel.packs.info import describe_unknown_footage
    from mvmodel.segmentation.catalogue_masks import find_unknown_clips

    masks = store.version(training_set.asset, motion, training_set.sha).inputs["foreground_masks"]
    try:
        unknown = set(find_unknown_clips(store.open(masks["asset"], None, masks["sha"]).folder))
    except (BrokenVersion, FileNotFoundError):  # collected as garbage
        return []
    clips = json.loads((training_set.folder / "clips.json").read_text())["clips"]
    names = [clip["clip"] for clip in clips if clip["clip"] in unknown]
    return [describe_unknown_footage(pack, names)] if names else []


def describe_judge(rows: pd.DataFrame) -> list[str]:
    """A sentence if the judge did not look for the object in all frames. rows: of metrics.parquet."""
    if "detection_frames" not in rows or rows["detection_frames"].isna().all():
        return []
    return [describe_detection_frames(int(rows["detection_frames"].min()))]


def describe_cut_prompts(videos: Path, pack: PackInfo) -> list[str]:
    """A sentence for each prompt whose end the image model did not read. videos: folder of a `generated_videos`."""
    records = [json.loads(file.read_text()) for file in sorted((videos / "full").glob("*.json"))]
    cut_texts = {record["prompt"]: record["prompt_cut"] for record in records if record.get("prompt_cut")}
    return [describe_cut_text(f"the model {pack.name}", prompt, cut) for prompt, cut in cut_texts.items()]


def read_ablation_videos(ablations: Sequence[Handle]) -> pd.DataFrame:
    """The videos of finished ablations, one row each."""
    import pandas as pd

    return pd.concat([pd.read_parquet(handle.folder / "videos.parquet") for handle in ablations], ignore_index=True)


def ablation_command(motion: str) -> str:
    """The command that runs the ablation of a motion."""
    return f"dagster asset materialize -m pipelines.definitions --select {ABLATION} --partition {motion}"


@dataclass(frozen=True)
class ReportSources:
    """What a `metric_report` version was made from.

    folders: of its metrics, videos and requests, in this order. ablation: None if the report has none.
    """

    folders: tuple[Path, Path, Path]
    ablation: Handle | None


def open_report_sources(store: VersionStore, motion: str, report: Handle) -> ReportSources:
    """Open the versions that a `metric_report` version was made from."""
    inputs = store.version(report.asset, motion, report.sha).inputs

    def open_input(asset: str) -> Handle:
        return store.open(asset, motion, inputs[asset]["sha"])

    metrics, videos, requests = map(open_input, ("video_metrics", "generated_videos", "generation_requests"))
    ablation = open_input(ABLATION) if ABLATION in inputs else None
    return ReportSources((metrics.folder, videos.folder, requests.folder), ablation)


def condition_means(rows: pd.DataFrame) -> dict[str, float]:
    """The mean of every metric: the full method's under the metric's name, other conditions' as condition/metric."""
    from mvmodel.reports.summaries import compute_condition_means

    return ui_metadata.finite_numbers(compute_condition_means(rows))


def headline_means(rows: pd.DataFrame) -> dict[str, float]:
    """The full method's means of the most important metrics."""
    from mvmodel.reports.tables import MAIN_METRICS

    full = rows[rows["condition"] == "full"]
    metrics = [name for name in MAIN_METRICS[:HEADLINE_COUNT] if name in full.columns]
    return ui_metadata.finite_numbers({name: full[name].mean() for name in metrics})


def comparison_table(rows: pd.DataFrame) -> dg.TableMetadataValue:
    """One row per metric: the full method's mean and interval, the other conditions' means, and the counts."""
    from mvmodel.reports.summaries import build_comparison

    return ui_metadata.table(build_comparison(rows))


def leaderboard_table(rows: pd.DataFrame) -> dg.TableMetadataValue:
    """One row per motion and condition: its means and counts."""
    from mvmodel.reports.summaries import build_leaderboard

    return ui_metadata.table(build_leaderboard(rows))


def report_versions(instance: dg.DagsterInstance, motion: str) -> list[str]:
    """The versions of a motion's report, oldest first, without repeats."""
    events = reversed(list_materializations(instance, dg.AssetKey("metric_report"), motion))
    return list(dict.fromkeys(str(event.metadata["sha256"].value) for event in events))


def read_version_history(store: VersionStore, versions: Mapping[str, list[str]]) -> pd.DataFrame:
    """One row per motion and stored version, oldest first: motion, version, when, adapter, the full method's means.

    versions: motion -> hashes of its reports' versions, oldest first.
    """
    import pandas as pd

    from mvmodel.reports.summaries import compute_mean_metrics

    rows: list[dict[str, Any]] = []
    for motion, hashes in versions.items():
        for number, sha in enumerate(hashes, 1):
            try:
                handle = store.open("metric_report", motion, sha)
            except BrokenVersion:  # collected as garbage; the later versions keep their numbers
                continue
            version = store.version("metric_report", motion, sha)
            table = pd.read_parquet(handle.folder / "metrics.parquet")
            metrics = ui_metadata.finite_numbers(compute_mean_metrics(table[table["condition"] == "full"]))
            metrics.pop("motion", None)  # in this table, `motion` is the slug
            columns = {"motion": motion, "version": number, "when": version.created, "promoted": True}
            rows.append({**columns, "adapter": str(version.source.get("adapter", ""))[:SHORT], **metrics})
    return pd.DataFrame(rows)


def describe_motions(videos: Mapping[str, Sequence[VideoEntry]], masks: Handle, motion_groups: Handle) -> str:
    """Whether motions are learned or only enforced by the masks, in a few sentences; "" with fewer than two motions."""
    from mvmodel.masks import MaskSequence
    from mvmodel.motion.recognition import MotionRecognizer
    from mvmodel.reports.recognition import describe_recognition, measure_recognition

    clips = {
        motion: [MaskSequence.load(masks.folder / f"{clip}.npz").masks for clip in names]
        for motion, names in read_motion_groups(motion_groups.folder)["motions"].items()
    }
    recognizer = MotionRecognizer(clips)
    pairs = [(motion, video) for motion, entries in videos.items() for video in entries]
    return describe_recognition(measure_recognition(pairs, recognizer), len(recognizer.motions))


def describe_page(
    clips: Handle,
    masks: Handle,
    motion_groups: Handle,
    reports: Mapping[str, Handle],
    settings: Settings,
    pack: PackResource,
) -> dict[str, Any]:
    """What a leaderboard says beside its tables. waiting: the motions without a report. notes: a sentence if the pack's
    image model does not know some clips, and one if the judge did not look for the object in all frames."""
    import pandas as pd

    from mvmodel.motion.config import GroupConfig
    from mvmodel.packs.info import describe_unknown_footage
    from mvmodel.reports.waiting import read_waiting_motions
    from mvmodel.segmentation.catalogue_masks import find_unknown_clips
    from pipelines.settings import TrainingSetConfig

    needed = settings.read("groups", GroupConfig).min_clips, settings.read("training_set", TrainingSetConfig).min_clips
    groups = read_motion_groups(motion_groups.folder)
    unknown = find_unknown_clips(masks.folder)
    footage = [describe_unknown_footage(pack.info, unknown)] if unknown else []
    tables = [pd.read_parquet(handle.folder / "metrics.parquet") for handle in reports.values()]
    return {
        "waiting": read_waiting_motions(clips.folder, masks.folder, groups, reports, max(needed)),
        "notes": [*footage, *(describe_judge(pd.concat(tables)) if tables else [])],
    }
