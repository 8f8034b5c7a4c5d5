"""Masks -> a library of mask sequences that can be searched by words and by motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.resources import PackResource
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.version_store import Handle

LIBRARY_COLUMNS = ["name", "motion", "caption", "frames", "source"]


@mvmodel_asset(
    "motion",
    "parquet",
    ins={name: dg.AssetIn() for name in ("clips", "foreground_masks", "motion_groups")},
    code_version=code_version("mvmodel.authoring.library", files=(__file__,)),
)
def mask_library(
    context: dg.AssetExecutionContext, pack: PackResource, store: ArtifactStore, **inputs: Handle
) -> dg.MaterializeResult[Handle]:
    """The mask sequences of all clips whose masks are reliable. `mvmodel masks search` searches them."""

    def build(folder: Path) -> None:
        from mvmodel.authoring.library import write_library

        write_library(folder, _read_entries(**inputs), pack.load().scorer().texts)

    def describe(folder: Path) -> dict[str, Any]:
        from mvmodel.authoring.library import Library

        table = Library.load(folder).table
        return {"entries": len(table), "library": ui_metadata.table(table[LIBRARY_COLUMNS], rows=60)}

    return store.step(context, inputs, {}, build, describe, pack.recipe("scorer"))


def _read_entries(clips: Handle, foreground_masks: Handle, motion_groups: Handle) -> list[Any]:
    """A `LibraryEntry` for every clip whose masks are reliable."""
    import pandas as pd

    from mvmodel.authoring.library import LibraryEntry
    from mvmodel.masks import MaskSequence
    from mvmodel.segmentation.catalogue_masks import read_mask_quality
    from mvmodel.video.catalogue import Catalogue

    catalogue = Catalogue.load(clips.folder)
    weak = set(read_mask_quality(foreground_masks.folder).query("weak")["clip"])
    motions = pd.read_parquet(motion_groups.folder / "groups.parquet").set_index("clip")["motion"]
    entries = []
    for clip in catalogue.clips:
        if clip not in weak:
            row, masks = catalogue.row(clip), MaskSequence.load(foreground_masks.folder / f"{clip}.npz")
            motion = str(motions.get(clip, ""))
            entries.append(LibraryEntry(clip, masks, str(row["caption"]), motion, str(row["file"])))
    return entries
