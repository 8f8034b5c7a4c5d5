"""Raw footage -> clips of one length and size, and a quarantine table of the files that cannot be used."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from mvmodel.errors import InputError
from mvmodel.files import empty_folder, hash_value
from pipelines import checks, raw_files
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import OWNERS, mvmodel_asset
from pipelines.resources import PackInfoResource, Settings
from pipelines.store.artifact_store import ArtifactStore, with_metadata
from pipelines.store.version_store import Handle

RAW_FOLDER = "raw_folder"
RAW_CLIPS_CODE_VERSION = "1"
CLIPS_CODE = code_version(
    "mvmodel.video.ingestion", "mvmodel.masks.clip_masks", "mvmodel.segmentation.saliency", files=(__file__,)
)
# Dagster 1.13 calls assets that are observed, not made, a beta feature when their specs are given.
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*multi_observable_source_asset.*")

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


@dg.multi_observable_source_asset(
    name="raw_folder",
    specs=[
        dg.AssetSpec(
            RAW_FOLDER,
            description="The folder of raw clips, with captions and manifests, which only its owner changes.",
            group_name="ingestion",
            kinds={"video"},
            owners=OWNERS,
            code_version=RAW_CLIPS_CODE_VERSION,
        )
    ],
)
def raw_folder(settings: Settings) -> Iterator[dg.ObserveResult]:
    """Its state by names, sizes, times and file numbers. Assets are shown as stale when it differs from theirs."""
    folder = settings.raw_folder
    stamps = raw_files.stamp_files(folder) if folder.is_dir() else {}
    metadata: dict[str, Any] = {"folder": dg.MetadataValue.path(str(folder)), "files": len(stamps)}
    yield dg.ObserveResult(asset_key=RAW_FOLDER, data_version=dg.DataVersion(hash_value(stamps)), metadata=metadata)


@mvmodel_asset("ingestion", "video", deps=[RAW_FOLDER], code_version=RAW_CLIPS_CODE_VERSION)
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
            "files_table": ui_metadata.table(pd.DataFrame(files)),
        }

    config = {"listing": raw_files.listing_hash(files)}
    result = store.step(context, {}, config, build, describe, source={"folder": str(settings.clips_folder)})
    return with_metadata(result, folder=dg.MetadataValue.path(str(settings.clips_folder)))


@mvmodel_asset(
    "ingestion", "video", "parquet", check_specs=checks.CLIPS_CHECKS, sections=("ingest",), code_version=CLIPS_CODE
)
def clips(
    context: dg.AssetExecutionContext,
    raw_clips: Handle,
    settings: Settings,
    pack_info: PackInfoResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The usable clips, cut, resized and resampled to the pack's frame rate and length; and a quarantine table."""
    from mvmodel.masks.clip_masks import load_footage_masks
    from mvmodel.segmentation.saliency import find_moving_areas
    from mvmodel.video.catalogue import Catalogue
    from mvmodel.video.config import IngestConfig
    from mvmodel.video.ingestion import ingest

    info = pack_info.info
    config = settings.read("ingest", IngestConfig, frames=info.frames, fps=info.fps, size=info.size)

    listed_files = json.loads((raw_clips.folder / "files.json").read_text())
    if raw_files.listing_hash(listed_files) != raw_files.listing_hash(list_raw_files(settings)):
        raise InputError(f"{settings.clips_folder} has changed since raw_clips; materialize raw_clips again")

    def build(folder: Path) -> None:
        ingest(settings.clips_folder, empty_folder(folder), config, None, load_footage_masks, find_moving_areas)

    result = store.step(context, {"raw_clips": raw_clips}, config, build, _clips_metadata)
    catalogue = Catalogue.load(result.value.folder)
    return checks.with_checks(result, checks.check_clips(len(catalogue.table), len(catalogue.quarantine)))


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
