"""Raw footage to clips of one size and length, with what cannot be used in quarantine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from mvmodel.errors import InputError
from mvmodel.files import empty_folder
from pipelines import raw_files
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.resources import PackResource, Settings
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.version_store import Handle

RAW_CLIPS_CODE_VERSION = "1"


def list_raw_files(settings: Settings) -> list[dict[str, Any]]:
    """The raw files and their hashes. Raises InputError when there is none."""
    rows = raw_files.hash_files(settings.clips_folder, settings.home_folder / "work" / "hashes.json")
    if not rows:
        raise InputError(f"{settings.clips_folder} holds no file; put videos there or name another folder with --clips")
    return rows


@mvmodel_asset("ingestion", "video", code_version=RAW_CLIPS_CODE_VERSION)
def raw_clips(
    context: dg.AssetExecutionContext, settings: Settings, store: ArtifactStore
) -> dg.MaterializeResult[Handle]:
    """The files in the folder of raw clips: names, sizes, hashes. They stay where they are; nothing is copied."""
    rows = list_raw_files(settings)

    def build(folder: Path) -> None:
        (folder / "files.json").write_text(json.dumps(rows, indent=1))

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        return {
            "raw_files": len(rows),
            "raw_megabytes": round(sum(row["bytes"] for row in rows) / 1e6, 3),
            "folder": dg.MetadataValue.path(str(settings.clips_folder)),
            "listing": ui_metadata.table(pd.DataFrame(rows)),
        }

    config = {"listing": raw_files.listing_hash(rows)}
    return store.step(context, {}, config, build, describe, source={"folder": str(settings.clips_folder)})


@mvmodel_asset("ingestion", "video", "parquet", code_version=code_version("mvmodel.video.catalogue", files=(__file__,)))
def clips(
    context: dg.AssetExecutionContext,
    raw_clips: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The catalogue: usable clips, cut, sampled to the pack's rate and length, resized; and the quarantine table."""
    from mvmodel.video.catalogue import Catalogue, ingest
    from mvmodel.video.config import IngestConfig

    info = pack.load().info
    config = settings.read("ingest", IngestConfig, frames=info.frames, fps=info.fps, resolution=info.resolution)

    def build(folder: Path) -> None:
        listed = json.loads((raw_clips.folder / "files.json").read_text())
        if raw_files.listing_hash(listed) != raw_files.listing_hash(list_raw_files(settings)):
            raise InputError(f"{settings.clips_folder} has changed since it was listed; materialise raw_clips again")
        ingest(settings.clips_folder, empty_folder(folder), config)

    def describe(folder: Path) -> dict[str, Any]:
        catalogue = Catalogue.load(folder)
        clips, quarantine = catalogue.table, catalogue.quarantine
        shown = ["clip", "file", "caption", "motion", "source_frames", "source_width", "source_height", "source_fps"]
        metadata: dict[str, Any] = {
            "clips": len(clips),
            "quarantined": len(quarantine),
            "captioned": int((clips["caption"] != "").sum()),
            "labelled": int((clips["motion"] != "").sum()),
            "catalogue": ui_metadata.table(clips[[name for name in shown if name in clips]]),
            "quarantine": ui_metadata.table(quarantine),
        }
        if len(clips):
            middles = [catalogue.frames(clip) for clip in clips["clip"].head(32)]
            metadata["sheet"] = ui_metadata.inline_image(
                ui_metadata.image_grid([f[len(f) // 2] for f in middles]), "clips"
            )
        return metadata

    return store.step(context, {"raw_clips": raw_clips}, config, build, describe)
