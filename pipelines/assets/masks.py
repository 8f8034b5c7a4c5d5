"""Clips -> foreground masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from pipelines import checks
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.resources import PackResource, Settings
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.version_store import Handle

MASKS_CODE = code_version("mvmodel.segmentation.catalogue_masks", files=(__file__,))
UNKNOWN_FOOTAGE = "unknown_footage"
"""Metadata entry: a sentence if the pack's image model cannot draw some of the clips."""
SHEET_CLIPS = 32
"""Clips on the contact sheet."""


@mvmodel_asset(
    "masks", "pytorch", "parquet", check_specs=checks.MASKS_CHECKS, sections=("masks",), code_version=MASKS_CODE
)
def foreground_masks(
    context: dg.AssetExecutionContext, clips: Handle, settings: Settings, pack: PackResource, store: ArtifactStore
) -> dg.MaterializeResult[Handle]:
    """A mask sequence per clip and its quality. Masks that came with a clip are used unchanged.

    Masks are cached per clip: adding one clip computes one clip.
    """
    from mvmodel.segmentation.catalogue_masks import read_mask_quality, write_clip_masks
    from mvmodel.segmentation.config import ExtractConfig
    from mvmodel.segmentation.selection import choose_segmenters
    from mvmodel.video.catalogue import Catalogue

    catalogue = Catalogue.load(clips.folder)
    config = settings.read("masks", ExtractConfig)
    segmenter = pack.recipe("segmenter")
    segmenters = choose_segmenters(config.segmenter, pack.load(), segmenter["hash"])

    def build(folder: Path) -> None:
        write_clip_masks(folder, catalogue, segmenters, config, store.store.cache, {"code": MASKS_CODE})

    recorded = {"extract": config.model_dump(mode="json"), "segmenters": dict(segmenters.recipe)}
    result = store.step(
        context,
        {"clips": clips},
        recorded,
        build,
        lambda folder: _masks_metadata(folder, clips.folder, pack),
        segmenter,
    )
    return checks.with_checks(result, checks.check_masks(read_mask_quality(result.value.folder)))


def _masks_metadata(folder: Path, clips_folder: Path, pack: PackResource) -> dict[str, Any]:
    """Quality per clip and on average, which segmenters made the masks, and the middle frames, background dimmed."""
    from mvmodel.masks import MaskSequence
    from mvmodel.packs.info import describe_unknown_footage
    from mvmodel.segmentation.catalogue_masks import find_unknown_clips, read_mask_quality
    from mvmodel.video.catalogue import Catalogue

    catalogue, quality = Catalogue.load(clips_folder), read_mask_quality(folder)
    metadata: dict[str, Any] = {"clips": len(quality), "quality": ui_metadata.table(quality)}
    if not len(quality):
        return metadata
    if unknown := find_unknown_clips(folder):
        metadata[UNKNOWN_FOOTAGE] = describe_unknown_footage(pack.info, unknown)
    means = {str(name): value for name, value in quality.select_dtypes("number").mean().items()}
    made_by = {str(name) or "supplied": int(count) for name, count in quality["segmenter"].value_counts().items()}
    metadata |= {
        "weak": int(quality["weak"].sum()),
        "segmenters": dg.MetadataValue.json(made_by),
        **ui_metadata.finite_numbers(means, "mean_"),
    }
    pictures = []
    for clip in quality["clip"].head(SHEET_CLIPS):
        frames, masks = catalogue.frames(clip), MaskSequence.load(folder / f"{clip}.npz").masks
        middle = len(frames) // 2
        pictures.append(ui_metadata.dim_background(frames[middle], masks[middle]))
    return {**metadata, "sheet": ui_metadata.contact_sheet(pictures, "foreground")}
