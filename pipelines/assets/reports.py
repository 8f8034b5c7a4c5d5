"""Videos to metrics, metrics to a report per motion and one across motions and versions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mvmodel.code_version import code_version
from mvmodel.files import empty_folder
from pipelines.assets import provenance, report_inputs, ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.assets.motion import read_motion_groups
from pipelines.assets.report_inputs import ABLATION
from pipelines.partitions import motions
from pipelines.promotion import evaluation, promotion
from pipelines.promotion.evaluation import store_judgement
from pipelines.resources import PackResource, Settings
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.version_store import Handle

if TYPE_CHECKING:
    from mvmodel.reports.entries import VideoEntry

SHEET_FILE = "sheet.png"
"""In a report's version: control masks and videos, line under line."""
RANKED_VIDEOS = 3
"""Best videos on the leaderboard's sheet, and as many of the worst."""
REPORT_FILES = (__file__, provenance.__file__, report_inputs.__file__)
REPORT_CODE = code_version(
    "mvmodel.reports.pages", "mvmodel.reports.stored_videos", "mvmodel.reports.summaries", files=REPORT_FILES
)
METRICS_CODE = code_version("mvmodel.metrics.judge", files=(__file__, evaluation.__file__))


@mvmodel_asset("reports", "pytorch", "parquet", gpu=True, partitions_def=motions, code_version=METRICS_CODE)
def video_metrics(
    context: dg.AssetExecutionContext,
    generation_requests: Handle,
    generated_videos: Handle,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """Every metric of every video, one row each; the foreground is found without showing the segmenter the mask."""
    from mvmodel.generation.requests import read_requests

    requests = read_requests(generation_requests.folder / "requests.csv")
    judges = pack.recipe("scorer", "segmenter")

    def build(folder: Path) -> None:
        import pandas as pd

        rows = []
        for condition in sorted(path.name for path in generated_videos.folder.iterdir() if path.is_dir()):
            (folder / "detections" / condition).mkdir(parents=True, exist_ok=True)
            for request in requests:
                video = generated_videos.folder / condition / f"{request.name}.npz"
                if condition != "full" and not video.exists():
                    continue  # some conditions are compared on the first requests alone
                item = store_judgement(store.store, video, request, pack.load(), judges["hash"])
                shutil.copyfile(item / "detections.npz", folder / "detections" / condition / f"{request.name}.npz")
                said = {"slug": context.partition_key, "condition": condition, "name": request.name}
                asked = {"prompt": request.prompt, "seed": request.seed}
                rows.append({**said, **asked, **json.loads((item / "metrics.json").read_text())})
        pd.DataFrame(rows).to_parquet(folder / "metrics.parquet", index=False)

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        rows = pd.read_parquet(folder / "metrics.parquet")
        return {
            "videos": len(rows),
            "summary": report_inputs.comparison_table(rows),
            "metrics": ui_metadata.table(rows),
            **report_inputs.condition_means(rows),
        }

    inputs = {"generation_requests": generation_requests, "generated_videos": generated_videos}
    return store.step(context, inputs, {}, build, describe, judges)


@mvmodel_asset(
    "reports",
    "html",
    partitions_def=motions,
    deps=[ABLATION],
    code_version=REPORT_CODE,
)
def metric_report(
    context: dg.AssetExecutionContext,
    training_set: Handle,
    generation_requests: Handle,
    generated_videos: Handle,
    promoted_adapter: Handle,
    video_metrics: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The motion's report: one HTML file with every video beside its mask and metrics, and the tables behind it.

    It waits for no experiment. Where ablation_study was run on the promoted adapter, its metrics stand in the paper's
    table.
    """
    from mvmodel.metrics.report_card import summarise

    motion = context.partition_key
    adapter = promotion.open_promoted(promoted_adapter, store.store)
    study = report_inputs.find_ablation(context.instance, store.store, motion, adapter)

    def build(folder: Path) -> None:
        import pandas as pd

        from mvmodel.reports.pages import write_motion_report
        from mvmodel.reports.stored_videos import read_video_entries

        empty_folder(folder)
        rows = pd.read_parquet(video_metrics.folder / "metrics.parquet")
        made = {"requests": generation_requests, "videos": generated_videos, "metrics": video_metrics}
        entries = read_video_entries(video_metrics.folder, generated_videos.folder, generation_requests.folder)
        write_motion_report(
            folder,
            motion,
            entries,
            rows,
            provenance.motion_provenance(pack, store.store, adapter, made),
            provenance.training_provenance(training_set, adapter),
            study=None if study is None else report_inputs.read_ablation_videos([study]),
            study_command=report_inputs.ablation_command(motion),
        )
        full = [(entry.masks, entry.frames) for entry in entries if entry.condition == "full"]
        ui_metadata.masks_and_frames_grid(full).save(folder / SHEET_FILE)
        rows.to_parquet(folder / "metrics.parquet", index=False)
        rows.to_csv(folder / "metrics.csv", index=False)
        summarise(rows).to_csv(folder / "summary.csv", index=False)

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        rows = pd.read_parquet(folder / "metrics.parquet")
        return {
            "report": dg.MetadataValue.path(str(folder / "report.html")),
            "sheet": contact_sheet_metadata(
                folder, f"{motion}: control masks, and the full method's videos under them"
            ),
            **report_inputs.headline_means(rows),
            "summary": report_inputs.comparison_table(rows),
            "adapter": adapter.sha,
            "ablation": f"not run on this adapter; {report_inputs.ablation_command(motion)}"
            if study is None
            else study.key,
            **report_inputs.condition_means(rows),
        }

    inputs = {
        "training_set": training_set,
        "generation_requests": generation_requests,
        "generated_videos": generated_videos,
        "promoted_adapter": promoted_adapter,
        "video_metrics": video_metrics,
        **({} if study is None else {ABLATION: study}),
    }
    result = store.step(context, inputs, {}, build, describe, pack.recipe(), source={"adapter": adapter.sha})
    publish_report(result.value, settings, f"{motion}.html")
    return result


def contact_sheet_metadata(folder: Path, title: str) -> dg.MarkdownMetadataValue:
    """The contact sheet of a report's version, as the UI shows it."""
    from PIL import Image

    with Image.open(folder / SHEET_FILE) as image:
        return ui_metadata.inline_image(image, title)


def publish_report(handle: Handle, settings: Settings, name: str) -> Path:
    """Copy a version's report to where people look for it: <home>/reports/<name>, always the latest."""
    from mvmodel.files import atomic_write

    target = settings.home_folder / "reports" / name
    page = next(path for path in sorted(handle.folder.glob("*.html")))
    with atomic_write(target) as aside:
        shutil.copyfile(page, aside)
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
    motion_groups: Handle,
    metric_report: dict[str, Handle],
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """All motions side by side, and each motion's versions over time: the report that the demo ends with."""
    known = read_motion_groups(motion_groups.folder)["motions"]
    reports = {motion: handle for motion, handle in metric_report.items() if motion in known}
    past = {motion: report_inputs.report_versions(context.instance, motion) for motion in reports}

    def build(folder: Path) -> None:
        import pandas as pd

        from mvmodel.metrics.report_card import summarise
        from mvmodel.motion.motion_map import MotionMap
        from mvmodel.reports.pages import write_leaderboard
        from mvmodel.reports.stored_videos import read_video_entries

        empty_folder(folder)
        tables = {motion: pd.read_parquet(handle.folder / "metrics.parquet") for motion, handle in reports.items()}
        whole = pd.concat(tables.values(), ignore_index=True) if tables else pd.DataFrame({"slug": [], "condition": []})
        whole.to_parquet(folder / "metrics.parquet", index=False)
        whole.to_csv(folder / "metrics.csv", index=False)
        summarise(whole, by=("slug", "condition")).to_csv(folder / "summary.csv", index=False)
        versions = report_inputs.read_version_history(store.store, past)
        versions.to_csv(folder / "versions.csv", index=False)
        quarantine = pd.read_parquet(clips.folder / "quarantine.parquet")
        entries: list[VideoEntry] = []
        studies: list[Handle] = []
        for motion, handle in reports.items():
            made_of = store.store.version(handle.asset, motion, handle.sha).inputs
            metrics, videos, asked = (
                store.store.open(name, motion, made_of[name]["sha"]).folder
                for name in ("video_metrics", "generated_videos", "generation_requests")
            )
            entries += read_video_entries(metrics, videos, asked, prefix=f"{motion}/")
            if ABLATION in made_of:
                studies.append(store.store.open(ABLATION, motion, made_of[ABLATION]["sha"]))
        ranked = sorted(
            (entry for entry in entries if entry.condition == "full"), key=lambda e: -e.metrics.get("iou", 0.0)
        )
        ends = [*ranked[:RANKED_VIDEOS], *ranked[RANKED_VIDEOS:][-RANKED_VIDEOS:]]
        ui_metadata.masks_and_frames_grid([(entry.masks, entry.frames) for entry in ends]).save(folder / SHEET_FILE)
        write_leaderboard(
            folder,
            tables,
            versions,
            videos=entries,
            reports={motion: f"{motion}.html" for motion in reports},
            quarantined=[dict(row) for row in json.loads(quarantine.to_json(orient="records"))],
            provenance=provenance.leaderboard_provenance(pack, store.store, reports, code=REPORT_CODE),
            study=report_inputs.read_ablation_videos(studies) if studies else None,
            study_command=report_inputs.ablation_command("MOTION"),
            motion_map=MotionMap.load(motion_groups.folder),
        )

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        rows = pd.read_parquet(folder / "metrics.parquet")
        return {
            "report": dg.MetadataValue.path(str(folder / "leaderboard.html")),
            "sheet": contact_sheet_metadata(folder, "control masks and videos, the best first, the worst last"),
            **(report_inputs.headline_means(rows) if len(rows) else {}),
            "summary": report_inputs.leaderboard_table(rows),
            "motions": len(reports),
            "without_report": dg.MetadataValue.json(sorted(set(known) - set(reports))),
            **(report_inputs.condition_means(rows) if len(rows) else {}),
        }

    inputs: dict[str, Handle | Mapping[str, Handle]] = {
        "clips": clips,
        "motion_groups": motion_groups,
        "metric_report": reports,
    }
    result = store.step(context, inputs, {"versions": past}, build, describe, pack.recipe())
    publish_report(result.value, settings, "index.html")
    return result
