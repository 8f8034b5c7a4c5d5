"""Videos -> metrics; metrics -> a report per motion, and a leaderboard of all motions and versions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mvmodel.code_version import code_version
from mvmodel.files import atomic_write, empty_folder
from mvmodel.metrics.config import JudgeConfig
from pipelines import checks
from pipelines.assets import provenance, report_inputs, ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.assets.motion import read_motion_groups, read_motion_labels
from pipelines.assets.report_inputs import ABLATION
from pipelines.partitions import motions
from pipelines.promotion import evaluation, promotion
from pipelines.promotion.evaluation import store_judgement
from pipelines.resources import PackResource, Settings
from pipelines.settings import GateConfig
from pipelines.store.artifact_store import ArtifactStore, with_metadata
from pipelines.store.version_store import Handle, VersionStore

if TYPE_CHECKING:
    import pandas as pd

    from mvmodel.generation.requests import Request

REPORT_FILES = (__file__, provenance.__file__, report_inputs.__file__)
REPORT_CODE = code_version(
    "mvmodel.reports.report_files",
    "mvmodel.reports.stored_videos",
    "mvmodel.reports.recognition",
    "mvmodel.reports.summaries",
    "mvmodel.reports.waiting",
    files=REPORT_FILES,
)
METRICS_CODE = code_version("mvmodel.metrics.judge", files=(__file__, evaluation.__file__))
REPORT_INPUTS = ("training_set", "generation_requests", "generated_videos", "promoted_adapter", "video_metrics")
MEASURED_INPUTS = {"requests": "generation_requests", "videos": "generated_videos", "metrics": "video_metrics"}
"""Name in a report's provenance -> asset."""


@mvmodel_asset(
    "reports",
    "pytorch",
    "parquet",
    partitions_def=motions,
    check_specs=checks.VIDEO_CHECKS,
    sections={"gates": ("min_iou",), "judge": ()},
    code_version=METRICS_CODE,
)
def video_metrics(
    context: dg.AssetExecutionContext,
    generation_requests: Handle,
    generated_videos: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """Every metric of every video, one row per video. The judge finds the object without seeing the control mask."""
    judge, config = pack.recipe("scorer", "segmenter"), settings.read("judge", JudgeConfig)

    import pandas as pd

    def build(folder: Path) -> None:
        from mvmodel.generation.request_table import read_requests

        requests = read_requests(generation_requests.folder / "requests.csv")
        rows = _judge_videos(folder, generated_videos.folder, requests, pack, store.store, judge["hash"], config)
        table = [{"slug": context.partition_key, **row} for row in rows]
        pd.DataFrame(table).to_parquet(folder / "metrics.parquet", index=False)

    inputs = {"generation_requests": generation_requests, "generated_videos": generated_videos}
    recorded = {"independent_judge": evaluation.describe_independent_judge(), "judge": config.model_dump(mode="json")}
    result = store.step(context, inputs, recorded, build, _metrics_metadata, judge)
    rows = pd.read_parquet(result.value.folder / "metrics.parquet")
    return checks.with_checks(result, checks.check_videos(rows, settings.read("gates", GateConfig).min_iou))


def _judge_videos(
    folder: Path,
    videos: Path,
    requests: Sequence[Request],
    pack: PackResource,
    store: VersionStore,
    judge_hash: str,
    config: JudgeConfig,
) -> list[dict[str, Any]]:
    """One row per video; what the judge detected is copied to `folder`/detections/CONDITION/NAME.npz."""
    calls: list[tuple[Any, ...]] = []
    for condition in sorted(path.name for path in videos.iterdir() if path.is_dir()):
        (folder / "detections" / condition).mkdir(parents=True, exist_ok=True)
        for request in requests:
            video = videos / condition / f"{request.name}.npz"
            if condition != "full" and not video.exists():
                continue  # some conditions are generated for the first requests only
            calls.append((store.cache, video, request, pack.load(), judge_hash, config))
    rows = []
    for (_, video, request, *_), judgement in zip(calls, pack.get_workers().map(store_judgement, calls), strict=True):
        condition = video.parent.name
        shutil.copyfile(judgement / "detections.npz", folder / "detections" / condition / f"{request.name}.npz")
        columns = {"name": request.name, "prompt": request.prompt, "seed": request.seed}
        metrics = json.loads((judgement / "metrics.json").read_text())
        rows.append({"condition": condition, **columns, **metrics})
    return rows


def _metrics_metadata(folder: Path) -> dict[str, Any]:
    import pandas as pd

    rows = pd.read_parquet(folder / "metrics.parquet")
    return {
        "videos": len(rows),
        "summary": report_inputs.comparison_table(rows),
        "metrics": ui_metadata.table(rows),
        **report_inputs.condition_means(rows),
    }


@mvmodel_asset(
    "reports",
    "html",
    partitions_def=motions,
    ins={name: dg.AssetIn() for name in REPORT_INPUTS},
    deps=[ABLATION],
    code_version=REPORT_CODE,
)
def metric_report(
    context: dg.AssetExecutionContext, settings: Settings, pack: PackResource, store: ArtifactStore, **inputs: Handle
) -> dg.MaterializeResult[Handle]:
    """The motion's report: one HTML page with every video, its control masks and its metrics, and the tables behind it.

    It does not wait for experiments. If ablation_study was run on the promoted adapter, its metrics are in the report.
    """
    motion, versions = context.partition_key, store.store
    adapter = promotion.open_promoted(inputs["promoted_adapter"], versions)
    ablation = report_inputs.find_ablation(context.instance, versions, motion, adapter)

    label = report_inputs.motion_label(context.instance, versions, motion)

    def build(folder: Path) -> None:
        _write_motion_report(empty_folder(folder), motion, label, inputs, adapter, ablation, pack, versions)

    def describe(folder: Path) -> dict[str, Any]:
        not_run = f"not run on this adapter; {report_inputs.ablation_command(motion)}"
        title = f"{label}: control masks above the videos of the full method"
        metadata = _report_metadata(folder, title, report_inputs.comparison_table)
        return {**metadata, "adapter": adapter.sha, "ablation": not_run if ablation is None else ablation.key}

    recipe_inputs = inputs if ablation is None else {**inputs, ABLATION: ablation}
    config = {} if label == motion else {"label": label}
    result = store.step(context, recipe_inputs, config, build, describe, pack.recipe(), source={"adapter": adapter.sha})
    publish_report(result.value, settings, versions, f"{motion}.html")
    return with_metadata(result, open_report=settings.report_link(f"{motion}.html"))


def _write_motion_report(
    folder: Path,
    motion: str,
    label: str,
    inputs: Mapping[str, Handle],
    adapter: Handle,
    ablation: Handle | None,
    pack: PackResource,
    store: VersionStore,
) -> None:
    import pandas as pd

    from mvmodel.reports.report_files import write_motion_report_folder
    from mvmodel.reports.stored_videos import read_video_entries

    sources = {name: inputs[asset] for name, asset in MEASURED_INPUTS.items()}
    rows = pd.read_parquet(sources["metrics"].folder / "metrics.parquet")
    footage = report_inputs.describe_training_footage(store, motion, inputs["training_set"], pack.info)
    cut_prompts = report_inputs.describe_cut_prompts(sources["videos"].folder, pack.info)
    write_motion_report_folder(
        folder,
        motion,
        read_video_entries(sources["metrics"].folder, sources["videos"].folder, sources["requests"].folder),
        rows,
        provenance.motion_provenance(pack, store, adapter, sources),
        provenance.training_provenance(inputs["training_set"], adapter),
        notes=[*footage, *cut_prompts, *report_inputs.describe_judge(rows)],
        study=None if ablation is None else report_inputs.read_ablation_videos([ablation]),
        study_command=report_inputs.ablation_command(motion),
        label=label,
    )


def _report_metadata(
    folder: Path, sheet_title: str, summarise: Callable[[pd.DataFrame], dg.TableMetadataValue]
) -> dict[str, Any]:
    """The page's path, its contact sheet, a summary table and the means of its metrics."""
    import pandas as pd
    from PIL import Image

    from mvmodel.reports.report_files import SHEET_FILE

    rows = pd.read_parquet(folder / "metrics.parquet")
    with Image.open(folder / SHEET_FILE) as image:
        sheet = ui_metadata.inline_image(image, sheet_title)
    return {
        "report": dg.MetadataValue.path(str(next(folder.glob("*.html")))),
        "sheet": sheet,
        **report_inputs.headline_means(rows),
        "summary": summarise(rows),
        **report_inputs.condition_means(rows),
    }


def publish_report(handle: Handle, settings: Settings, store: VersionStore, name: str) -> Path:
    """Copy a version's page to <home>/reports/<name>, which is always the latest one; of a store that several machines
    share, also to its reports."""
    target = settings.home_folder / "reports" / name
    page = next(path for path in sorted(handle.folder.glob("*.html")))
    with atomic_write(target) as temporary:
        shutil.copyfile(page, temporary)
    if store.is_shared:
        store.file_system.upload(page, store.root / "reports" / name)
    return target


@mvmodel_asset(
    "reports",
    "html",
    ins={"metric_report": dg.AssetIn(partition_mapping=dg.AllPartitionMapping())},
    code_version=REPORT_CODE,
)
def leaderboard(
    context: dg.AssetExecutionContext,
    clips: Handle,
    foreground_masks: Handle,
    motion_groups: Handle,
    metric_report: dict[str, Handle],
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """All motions in one table, and each motion's versions over time. The demo ends with this report."""
    slugs = read_motion_groups(motion_groups.folder)["motions"]
    reports = {motion: handle for motion, handle in metric_report.items() if motion in slugs}
    history = {motion: report_inputs.report_versions(context.instance, motion) for motion in reports}

    def build(folder: Path) -> None:
        page = report_inputs.describe_page(clips, foreground_masks, motion_groups, reports, settings, pack)
        _write_leaderboard(
            empty_folder(folder), clips, foreground_masks, motion_groups, reports, history, pack, store.store, page
        )

    def describe(folder: Path) -> dict[str, Any]:
        title = "control masks above videos: the best first, the worst last"
        missing = {"without_report": ui_metadata.listing(sorted(set(slugs) - set(reports)))}
        return {**_report_metadata(folder, title, report_inputs.leaderboard_table), "motions": len(reports), **missing}

    inputs: dict[str, Handle | Mapping[str, Handle]] = {
        "clips": clips,
        "foreground_masks": foreground_masks,
        "motion_groups": motion_groups,
        "metric_report": reports,
    }
    result = store.step(context, inputs, {"versions": history}, build, describe, pack.recipe())
    publish_report(result.value, settings, store.store, "index.html")
    return with_metadata(result, open_report=settings.report_link("index.html"))


def _write_leaderboard(
    folder: Path,
    clips: Handle,
    masks: Handle,
    motion_groups: Handle,
    reports: Mapping[str, Handle],
    history: Mapping[str, list[str]],
    pack: PackResource,
    store: VersionStore,
    page: Mapping[str, Any],
) -> None:
    import pandas as pd

    from mvmodel.motion.motion_map import MotionMap
    from mvmodel.reports.report_files import write_leaderboard_folder
    from mvmodel.reports.stored_videos import read_video_entries

    sources = {motion: report_inputs.open_report_sources(store, motion, handle) for motion, handle in reports.items()}
    videos = {motion: read_video_entries(*s.folders, prefix=f"{motion}/") for motion, s in sources.items()}
    ablations = [source.ablation for source in sources.values() if source.ablation is not None]
    write_leaderboard_folder(
        folder,
        {motion: pd.read_parquet(handle.folder / "metrics.parquet") for motion, handle in reports.items()},
        report_inputs.read_version_history(store, history),
        [entry for entries in videos.values() for entry in entries],
        pd.read_parquet(clips.folder / "quarantine.parquet"),
        reports={motion: f"{motion}.html" for motion in reports},
        provenance=provenance.leaderboard_provenance(pack, store, reports, code=REPORT_CODE),
        study=report_inputs.read_ablation_videos(ablations) if ablations else None,
        study_command=report_inputs.ablation_command("MOTION"),
        motion_map=MotionMap.load(motion_groups.folder),
        labels=read_motion_labels(motion_groups.folder),
        recognition=report_inputs.describe_motions(videos, masks, motion_groups),
        **page,
    )
