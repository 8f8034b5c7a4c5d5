"""Videos to figures, figures to a report per motion and one across motions and versions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipelines import preview, promotion, provenance
from pipelines.artefacts import ArtifactStore, clear, history
from pipelines.assets.common import stage
from pipelines.assets.motion import read_groups
from pipelines.evaluation import read_frames, score
from pipelines.partitions import motions
from pipelines.resources import PackResource, Settings
from pipelines.store import SHORT, BrokenVersion, Handle, Store, recipe_hash
from pipelines.versions import code_version

if TYPE_CHECKING:
    import pandas as pd

    from mvmodel.reports import VideoEntry

SHEET = "sheet.png"
"""In a report's version: control masks and videos, line under line."""
SHEET_VIDEOS = 3
"""Best videos on the leaderboard's sheet, and as many of the worst."""
METRICS_CODE = code_version("mvmodel.metrics.score", files=(__file__,))


@stage("reports", "pytorch", "parquet", gpu=True, partitions_def=motions, code_version=METRICS_CODE)
def video_metrics(
    context: dg.AssetExecutionContext,
    generation_requests: Handle,
    generated_videos: Handle,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """Every figure of every video, one row each; the foreground is found without showing the segmenter the mask."""
    from mvmodel.files import hash_file
    from mvmodel.generation.requests import read_requests
    from mvmodel.masks import MaskSequence

    requests = read_requests(generation_requests.folder / "requests.csv")
    judges = pack.recipe("scorer", "segmenter")

    def build(folder: Path) -> None:
        import pandas as pd

        rows = []
        for setting in sorted(path.name for path in generated_videos.folder.iterdir() if path.is_dir()):
            for request in requests:
                video = generated_videos.folder / setting / f"{request.name}.npz"

                def fill(item: Path, video: Path = video, request: Any = request) -> None:
                    scored = score(video, request, pack.load())
                    MaskSequence(scored.found, float(pack.load().info.fps)).save(item / "found.npz")
                    (item / "figures.json").write_text(json.dumps({**scored.figures, **scored.scorer}))

                made_of = {"video": hash_file(video), "masks": hash_file(request.masks), "prompt": request.prompt}
                item = store.store.item("scores", recipe_hash(**made_of, code=METRICS_CODE, pack=judges["hash"]), fill)
                (folder / "found" / setting).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(item / "found.npz", folder / "found" / setting / f"{request.name}.npz")
                said = {
                    "slug": context.partition_key,
                    "setting": setting,
                    "name": request.name,
                    "prompt": request.prompt,
                }
                rows.append({**said, "seed": request.seed, **json.loads((item / "figures.json").read_text())})
        pd.DataFrame(rows).to_parquet(folder / "metrics.parquet", index=False)

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        rows = pd.read_parquet(folder / "metrics.parquet")
        return {"videos": len(rows), "metrics": preview.table(rows), **means(rows)}

    inputs = {"generation_requests": generation_requests, "generated_videos": generated_videos}
    return store.step(context, inputs, {}, build, describe, judges)


def figures_of(rows: pd.DataFrame) -> dict[str, float]:
    """The mean of every figure in a table of videos."""
    from mvmodel.metrics.score import METRICS

    return preview.numbers({name: rows[name].mean() for name in METRICS if name in rows.columns})


def means(rows: pd.DataFrame, setting: str = "full") -> dict[str, float]:
    """The mean of every figure: of `setting` under its own name, of the other settings as setting/figure."""
    found: dict[str, float] = {}
    for name, group in rows.groupby("setting"):
        figures = figures_of(group)
        found |= figures if name == setting else {f"{name}/{figure}": value for figure, value in figures.items()}
    return found


@stage(
    "reports",
    "html",
    partitions_def=motions,
    code_version=code_version(
        "mvmodel.reports.html", "mvmodel.metrics.report_card", files=(__file__, provenance.__file__)
    ),
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
    """The motion's report: one HTML file with every video beside its mask and figures, and the tables behind it."""
    from mvmodel.metrics.report_card import summarise

    motion = context.partition_key
    adapter = promotion.pointed_at(promoted_adapter, store.store)

    def build(folder: Path) -> None:
        import pandas as pd

        from mvmodel.reports import motion_report

        clear(folder)
        rows = pd.read_parquet(video_metrics.folder / "metrics.parquet")
        made = {"requests": generation_requests, "videos": generated_videos, "figures": video_metrics}
        entries = read_entries(video_metrics.folder, generated_videos.folder, generation_requests.folder)
        motion_report(
            folder,
            motion,
            entries,
            rows,
            provenance.made_from(pack, store.store, adapter, made),
            provenance.trained(training_set, adapter),
        )
        full = [(entry.masks, entry.frames) for entry in entries if entry.setting == "full"]
        preview.beside(full).save(folder / SHEET)
        rows.to_parquet(folder / "metrics.parquet", index=False)
        rows.to_csv(folder / "metrics.csv", index=False)
        summarise(rows).to_csv(folder / "summary.csv", index=False)

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        return {
            "report": dg.MetadataValue.path(str(folder / "report.html")),
            "sheet": sheet(folder, f"{motion}: control masks, and the full method's videos under them"),
            "adapter": adapter.sha,
            "summary": preview.table(pd.read_csv(folder / "summary.csv")),
            **means(pd.read_parquet(folder / "metrics.parquet")),
        }

    inputs = {
        "training_set": training_set,
        "generation_requests": generation_requests,
        "generated_videos": generated_videos,
        "promoted_adapter": promoted_adapter,
        "video_metrics": video_metrics,
    }
    result = store.step(context, inputs, {}, build, describe, pack.recipe(), source={"adapter": adapter.sha})
    publish(result.value, settings, f"{motion}.html")
    return result


def sheet(folder: Path, title: str) -> dg.MarkdownMetadataValue:
    """The contact sheet of a report's version, as the UI shows it."""
    from PIL import Image

    with Image.open(folder / SHEET) as image:
        return preview.picture(image, title)


def read_entries(metrics: Path, videos: Path, requests: Path, before: str = "") -> list[VideoEntry]:
    """Every video of a `video_metrics` version, as reports take them; `before` goes in front of their names."""
    import pandas as pd

    from mvmodel.generation.requests import read_requests
    from mvmodel.masks import MaskSequence
    from mvmodel.metrics.score import METRICS
    from mvmodel.reports import VideoEntry

    asked = {request.name: request for request in read_requests(requests / "requests.csv")}
    entries = []
    for row in pd.read_parquet(metrics / "metrics.parquet").to_dict(orient="records"):
        name, setting = str(row["name"]), str(row["setting"])
        frames = read_frames(videos / setting / f"{name}.npz")
        masks = MaskSequence.load(asked[name].masks)
        entries.append(
            VideoEntry(
                name=f"{before}{name}",
                prompt=str(row["prompt"]),
                setting=setting,
                frames=frames,
                masks=masks.masks[: len(frames)],
                fps=masks.fps,
                metrics=preview.numbers({metric: row.get(metric) for metric in METRICS}),
                found=MaskSequence.load(metrics / "found" / setting / f"{name}.npz").masks,
                seed=int(row["seed"]),
            )
        )
    return entries


def publish(handle: Handle, settings: Settings, name: str) -> Path:
    """Copy a version's report to where people look for it: <home>/reports/<name>, always the latest."""
    from mvmodel.files import write_aside

    target = settings.home_folder / "reports" / name
    page = next(path for path in sorted(handle.folder.glob("*.html")))
    with write_aside(target) as aside:
        shutil.copyfile(page, aside)
    return target


@stage(
    "reports",
    "html",
    ins={"metric_report": dg.AssetIn(partition_mapping=dg.AllPartitionMapping())},
    code_version=code_version("mvmodel.reports.html", "mvmodel.metrics.report_card", files=(__file__,)),
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
    known = read_groups(motion_groups.folder)["motions"]
    shown = {motion: handle for motion, handle in metric_report.items() if motion in known}
    past = {motion: _versions(context.instance, store.store, motion) for motion in shown}

    def build(folder: Path) -> None:
        import pandas as pd

        from mvmodel.metrics.report_card import summarise
        from mvmodel.reports import leaderboard_report

        clear(folder)
        tables = {motion: pd.read_parquet(handle.folder / "metrics.parquet") for motion, handle in shown.items()}
        whole = pd.concat(tables.values(), ignore_index=True) if tables else pd.DataFrame({"slug": [], "setting": []})
        whole.to_parquet(folder / "metrics.parquet", index=False)
        whole.to_csv(folder / "metrics.csv", index=False)
        summarise(whole, by=("slug", "setting")).to_csv(folder / "summary.csv", index=False)
        versions = _history(store.store, past)
        versions.to_csv(folder / "versions.csv", index=False)
        quarantine = pd.read_parquet(clips.folder / "quarantine.parquet")
        entries: list[VideoEntry] = []
        for motion, handle in shown.items():
            made_of = store.store.version(handle.asset, motion, handle.sha).inputs
            scored, videos, asked = (
                store.store.open(name, motion, made_of[name]["sha"]).folder
                for name in ("video_metrics", "generated_videos", "generation_requests")
            )
            entries += read_entries(scored, videos, asked, before=f"{motion}/")
        ranked = sorted(
            (entry for entry in entries if entry.setting == "full"), key=lambda e: -e.metrics.get("iou", 0.0)
        )
        ends = [*ranked[:SHEET_VIDEOS], *ranked[SHEET_VIDEOS:][-SHEET_VIDEOS:]]
        preview.beside([(entry.masks, entry.frames) for entry in ends]).save(folder / SHEET)
        leaderboard_report(
            folder,
            tables,
            versions,
            videos=entries,
            reports={motion: f"{motion}.html" for motion in shown},
            quarantined=[dict(row) for row in json.loads(quarantine.to_json(orient="records"))],
            provenance={"random": bool(pack.load().info.random), "pack": pack.recipe()},
        )

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        rows = pd.read_parquet(folder / "metrics.parquet")
        return {
            "report": dg.MetadataValue.path(str(folder / "leaderboard.html")),
            "sheet": sheet(folder, "control masks and videos, the best first, the worst last"),
            "motions": len(shown),
            "without_report": dg.MetadataValue.json(sorted(set(known) - set(shown))),
            "summary": preview.table(pd.read_csv(folder / "summary.csv"), rows=60),
            **(means(rows) if len(rows) else {}),
        }

    inputs: dict[str, Handle | Mapping[str, Handle]] = {"clips": clips, "metric_report": shown}
    result = store.step(context, inputs, {"versions": past}, build, describe, pack.recipe())
    publish(result.value, settings, "index.html")
    return result


def _versions(instance: dg.DagsterInstance, store: Store, motion: str) -> list[str]:
    """The versions of a motion's report, oldest first, each once."""
    events = reversed(history(instance, dg.AssetKey("metric_report"), motion))
    return list(dict.fromkeys(str(event.metadata["sha256"].value) for event in events))


def _history(store: Store, past: Mapping[str, list[str]]) -> pd.DataFrame:
    """One row a motion and stored version, oldest first: motion, version, when, adapter, the full method's means."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for motion, versions in past.items():
        for number, sha in enumerate(versions, 1):
            try:
                handle = store.open("metric_report", motion, sha)
            except BrokenVersion:  # collected as garbage: its place in the count stays
                continue
            made = store.version("metric_report", motion, sha)
            table = pd.read_parquet(handle.folder / "metrics.parquet")
            figures = figures_of(table[table["setting"] == "full"])
            figures.pop("motion", None)  # the slug's column here
            said = {"motion": motion, "version": number, "when": made.created, "promoted": True}
            rows.append({**said, "adapter": str(made.source.get("adapter", ""))[:SHORT], **figures})
    return pd.DataFrame(rows)
