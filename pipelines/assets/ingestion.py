"""Raw footage -> clips of one length and size, and a quarantine table of the files that cannot be used."""

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
CLIPS_CODE = code_version(
    "mvmodel.video.ingestion", "mvmodel.masks.clip_masks", "mvmodel.segmentation.saliency", files=(__file__,)
)
SHEET_CLIPS = 32
"""Clips on the contact sheet."""
CATALOGUE_COLUMNS = (
    "clip",
    "file",
    "caption",
    "caption_from",
    "caption_note",
    "motion",
    "source_frames",
    "source_width",
    "source_height",
    "source_fps",
)
"""Columns of the catalogue that the UI's table has."""


def list_raw_files(settings: Settings) -> list[dict[str, Any]]:
    """The raw files with their sizes and hashes. Raises InputError if there are none."""
    files = raw_files.hash_files(settings.clips_folder, settings.home_folder / "work" / "hashes.json")
    if not files:
        raise InputError(f"{settings.clips_folder} is empty; put videos there or name another folder with --clips")
    return files


@mvmodel_asset("ingestion", "video", code_version=RAW_CLIPS_CODE_VERSION)
def raw_clips(
    context: dg.AssetExecutionContext, settings: Settings, store: ArtifactStore
) -> dg.MaterializeResult[Handle]:
    """The files in the folder of raw clips, with their sizes and hashes. Nothing is copied."""
    files = list_raw_files(settings)

    def build(folder: Path) -> None:
        (folder / "files.json").write_text(json.dumps(files, indent=1))

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        return {
            "raw_files": len(files),
            "raw_megabytes": round(sum(file["bytes"] for file in files) / 1e6, 3),
            "folder": dg.MetadataValue.path(str(settings.clips_folder)),
            "files_table": ui_metadata.table(pd.DataFrame(files)),
        }

    config = {"listing": raw_files.listing_hash(files)}
    return store.step(context, {}, config, build, describe, source={"folder": str(settings.clips_folder)})


@mvmodel_asset("ingestion", "video", "parquet", code_version=CLIPS_CODE)
def clips(
    context: dg.AssetExecutionContext, raw_clips: Handle, settings: Settings, pack: PackResource, store: ArtifactStore
) -> dg.MaterializeResult[Handle]:
    """The usable clips, cut, resized and resampled to the pack's frame rate and length; and a quarantine table."""
    from mvmodel.masks.clip_masks import load_footage_masks
    from mvmodel.segmentation.saliency import find_moving_areas
    from mvmodel.video.config import IngestConfig
    from mvmodel.video.ingestion import ingest

    info = pack.load().info
    config = settings.read("ingest", IngestConfig, frames=info.frames, fps=info.fps, size=info.size)

    def build(folder: Path) -> None:
        expected_files = json.loads((raw_clips.folder / "files.json").read_text())
        if raw_files.listing_hash(expected_files) != raw_files.listing_hash(list_raw_files(settings)):
            raise InputError(f"{settings.clips_folder} has changed since raw_clips; materialize raw_clips again")
        ingest(settings.clips_folder, empty_folder(folder), config, None, load_footage_masks, find_moving_areas)

    return store.step(context, {"raw_clips": raw_clips}, config, build, _clips_metadata)


def _clips_metadata(folder: Path) -> dict[str, Any]:
    """Counts, the tables of clips and refused files, and the middle frame of the first clips."""
    from mvmodel.video.catalogue import Catalogue

    catalogue = Catalogue.load(folder)
    table, quarantine = catalogue.table, catalogue.quarantine
    metadata: dict[str, Any] = {
        "clips": len(table),
        "quarantined": len(quarantine),
        "captioned": int((table["caption"] != "").sum()),
        "labelled": int((table["motion"] != "").sum()),
        "catalogue": ui_metadata.table(table[[name for name in CATALOGUE_COLUMNS if name in table]]),
        "quarantine": ui_metadata.table(quarantine),
    }
    if len(table):
        videos = [catalogue.frames(clip) for clip in table["clip"].head(SHEET_CLIPS)]
        metadata["sheet"] = ui_metadata.contact_sheet([frames[len(frames) // 2] for frames in videos], "clips")
    return metadata
