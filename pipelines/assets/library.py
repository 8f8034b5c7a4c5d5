"""Masks to a library: every clip's mask sequence with its caption and motion, searchable by words and by motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.assets.masks import read_mask_quality
from pipelines.resources import PackResource
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.version_store import Handle


@mvmodel_asset("motion", "parquet", code_version=code_version("mvmodel.authoring.library", files=(__file__,)))
def mask_library(
    context: dg.AssetExecutionContext,
    clips: Handle,
    foreground_masks: Handle,
    motion_groups: Handle,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The mask sequences of all clips that are sound: `mvmodel masks search` finds them, requests can name them."""

    def build(folder: Path) -> None:
        import pandas as pd

        from mvmodel.authoring.library import LibraryEntry, write_library
        from mvmodel.masks import MaskSequence
        from mvmodel.video.catalogue import Catalogue

        catalogue = Catalogue.load(clips.folder)
        weak = set(read_mask_quality(foreground_masks.folder).query("weak")["clip"])
        motion = pd.read_parquet(motion_groups.folder / "groups.parquet").set_index("clip")["motion"]
        entries = []
        for clip in catalogue.clips:
            if clip in weak:
                continue
            row = catalogue.row(clip)
            masks = MaskSequence.load(foreground_masks.folder / f"{clip}.npz")
            entries.append(LibraryEntry(clip, masks, str(row["caption"]), str(motion.get(clip, "")), str(row["file"])))
        write_library(folder, entries, pack.load().scorer().texts)

    def describe(folder: Path) -> dict[str, Any]:
        from mvmodel.authoring.library import Library

        table = Library.load(folder).table
        shown = table[["name", "motion", "caption", "frames", "source"]]
        return {"entries": len(table), "library": ui_metadata.table(shown, rows=60)}

    inputs = {"clips": clips, "foreground_masks": foreground_masks, "motion_groups": motion_groups}
    return store.step(context, inputs, {}, build, describe, pack.recipe("scorer"))
