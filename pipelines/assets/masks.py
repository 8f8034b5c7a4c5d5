"""Clips -> foreground masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from pipelines import checks
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.resource_requests import resource_tags
from pipelines.resources import PackResource, Settings
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.version_store import Handle

MASKS_CODE = code_version("mvmodel.segmentation.catalogue_masks", files=(__file__,))
UNKNOWN_FOOTAGE = "unknown_footage"
"""Metadata entry: a sentence if the pack's image model cannot draw some of the clips."""
SHEET_CLIPS = 32
"""Clips on the contact sheet."""


def _open_inputs(clips: Handle, settings: Settings, pack: PackResource) -> tuple[Any, Any, Any, dict[str, str]]:
    """The catalogue, the settings of extraction, the segmenters, and the recipe of the pack's own one."""
    from mvmodel.segmentation.config import ExtractConfig
    from mvmodel.segmentation.selection import choose_segmenters
    from mvmodel.video.catalogue import Catalogue

    config, segmenter = settings.read("masks", ExtractConfig), pack.recipe("segmenter")
    segmenters = choose_segmenters(config.segmenter, pack.load(), segmenter["hash"])
    return Catalogue.load(clips.folder), config, segmenters, segmenter


def build_foreground_masks(shares: Sequence[dg.AssetsDefinition] = ()) -> dg.AssetsDefinition:
    """The asset `foreground_masks`. shares: steps that compute masks before it, each those of some clips."""

    @mvmodel_asset(
        "masks",
        "pytorch",
        "parquet",
        deps=[share.key for share in shares],
        check_specs=checks.MASKS_CHECKS,
        sections=("masks",),
        code_version=MASKS_CODE,
    )
    def foreground_masks(
        context: dg.AssetExecutionContext, clips: Handle, settings: Settings, pack: PackResource, store: ArtifactStore
    ) -> dg.MaterializeResult[Handle]:
        """A mask sequence per clip and its quality. Masks that came with a clip are used unchanged.

        Masks are cached per clip: adding one clip computes one clip.
        """
        from mvmodel.segmentation.catalogue_masks import read_mask_quality, write_clip_masks

        catalogue, config, segmenters, segmenter = _open_inputs(clips, settings, pack)

        def build(folder: Path) -> None:
            recipe = {"code": MASKS_CODE}
            write_clip_masks(folder, catalogue, segmenters, config, store.store.cache, recipe, pack.get_workers())

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

    return foreground_masks


def build_mask_shares(count: int, with_gpu: bool = True) -> list[dg.AssetsDefinition]:
    """Assets that compute the masks of all clips side by side, each of every `count`-th clip; none if `count` is 1.

    They leave the masks in the cache of single clips, where `foreground_masks` finds them. A step that is repeated
    elsewhere does not compute again what it had finished. with_gpu: each step asks for a GPU.
    """
    return [_build_mask_share(number, count, with_gpu) for number in range(count)] if count > 1 else []


def _build_mask_share(number: int, count: int, with_gpu: bool) -> dg.AssetsDefinition:
    on_cpu: dict[str, Any] = {} if with_gpu else {"pool": None, "op_tags": resource_tags(gpu=False)}

    @mvmodel_asset(
        "masks",
        "pytorch",
        "parquet",
        name=f"mask_share_{number + 1}",
        description=f"The masks of clip {number + 1} and every {count}. clip after it, beside those of the others. "
        "Give the forms of all shares and of foreground_masks the same settings.",
        sections=("masks",),
        code_version=MASKS_CODE,
        **on_cpu,
    )
    def mask_share(
        context: dg.AssetExecutionContext, clips: Handle, settings: Settings, pack: PackResource, store: ArtifactStore
    ) -> dg.MaterializeResult[Handle]:
        from mvmodel.segmentation.catalogue_masks import write_mask_share

        catalogue, config, segmenters, segmenter = _open_inputs(clips, settings, pack)
        names = set(catalogue.clips[number::count])

        def build(folder: Path) -> None:
            cache = store.store.cache
            write_mask_share(folder, catalogue, names, segmenters, config, cache, {"code": MASKS_CODE})

        recorded = {"extract": config.model_dump(mode="json"), "segmenters": dict(segmenters.recipe)}
        recorded["share"] = [number, count]
        return store.step(context, {"clips": clips}, recorded, build, lambda folder: {"clips": len(names)}, segmenter)

    return mask_share


foreground_masks = build_foreground_masks()


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
        "segmenters": ui_metadata.listing(made_by),
        **ui_metadata.finite_numbers(means, "mean_"),
    }
    pictures = []
    for clip in quality["clip"].head(SHEET_CLIPS):
        frames, masks = catalogue.frames(clip), MaskSequence.load(folder / f"{clip}.npz").masks
        middle = len(frames) // 2
        pictures.append(ui_metadata.dim_background(frames[middle], masks[middle]))
    return {**metadata, "sheet": ui_metadata.contact_sheet(pictures, "foreground")}
