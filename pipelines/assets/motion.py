"""Masks -> motions: a descriptor per clip, and groups of clips. Each group that is large enough is a partition."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from pipelines import checks
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.partitions import check_slug, motions
from pipelines.resources import Settings
from pipelines.store.artifact_store import ArtifactStore, with_metadata
from pipelines.store.version_store import Handle

DESCRIPTORS_CODE = code_version(
    "mvmodel.motion.descriptor", "mvmodel.motion.attributes", "mvmodel.motion.trajectory", files=(__file__,)
)
GROUPS_CODE = code_version("mvmodel.motion.grouping", "mvmodel.reports.motion_map_plots", files=(__file__,))


@mvmodel_asset("motion", "parquet", code_version=DESCRIPTORS_CODE)
def motion_descriptors(
    context: dg.AssetExecutionContext, clips: Handle, foreground_masks: Handle, store: ArtifactStore
) -> dg.MaterializeResult[Handle]:
    """How each clip's foreground and camera move, as named numbers that do not depend on the object or its place."""

    def build(folder: Path) -> None:
        import pandas as pd

        from mvmodel.masks import MaskSequence
        from mvmodel.motion.attributes import compute_motion_attributes
        from mvmodel.motion.descriptor import compute_descriptor
        from mvmodel.motion.trajectory import compute_trajectory, estimate_camera_trajectory
        from mvmodel.video.catalogue import Catalogue

        catalogue = Catalogue.load(clips.folder)
        masks = {path.stem: MaskSequence.load(path) for path in sorted(foreground_masks.folder.glob("*.npz"))}
        rows = {}
        for clip, sequence in masks.items():
            camera = estimate_camera_trajectory(catalogue.frames(clip), masks=sequence.masks)
            rows[clip] = compute_descriptor(sequence) | compute_motion_attributes(sequence, camera)
        pd.DataFrame.from_dict(rows, orient="index").rename_axis("clip").to_parquet(folder / "descriptors.parquet")
        trajectories = {clip: compute_trajectory(sequence).tolist() for clip, sequence in masks.items()}
        (folder / "trajectories.json").write_text(json.dumps(trajectories))

    inputs = {"clips": clips, "foreground_masks": foreground_masks}
    return store.step(context, inputs, {}, build, _descriptors_metadata)


def _descriptors_metadata(folder: Path) -> dict[str, Any]:
    import pandas as pd

    descriptors = pd.read_parquet(folder / "descriptors.parquet")
    return {"clips": len(descriptors), "descriptors": ui_metadata.table(descriptors.reset_index())}


@mvmodel_asset(
    "motion", "scikitlearn", "parquet", check_specs=checks.GROUPS_CHECKS, sections=("groups",), code_version=GROUPS_CODE
)
def motion_groups(
    context: dg.AssetExecutionContext,
    clips: Handle,
    motion_descriptors: Handle,
    settings: Settings,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """Which clips share a motion. A group with enough clips becomes a partition; smaller ones wait for more clips.

    The partition of a motion that has too few clips now is removed; its results stay in the store.
    """
    from mvmodel.motion.config import GroupConfig

    config = settings.read("groups", GroupConfig)

    def build(folder: Path) -> None:
        _write_groups(folder, clips.folder, motion_descriptors.folder, config)

    inputs = {"clips": clips, "motion_descriptors": motion_descriptors}
    result = store.step(context, inputs, config, build, _groups_metadata)
    groups = read_motion_groups(result.value.folder)
    slugs = sorted(check_slug(name) for name in groups["motions"])
    added, retired = _update_partitions(context.instance, slugs)
    partitions = {"added_partitions": added, "retired_partitions": retired}
    result = with_metadata(result, **{name: ui_metadata.listing(slugs) for name, slugs in partitions.items()})
    return checks.with_checks(result, checks.check_groups(groups))


def _update_partitions(instance: dg.DagsterInstance, slugs: list[str]) -> tuple[list[str], list[str]]:
    """Make the partitions those of the motions that exist; returns the added and the retired ones.

    A retired motion keeps its stored versions and its history, and gets them back together with its clips. Until then,
    schedules, automation and the leaderboard pass it by.
    """
    name = str(motions.name)
    added, retired = compare_partitions(instance, slugs)
    instance.add_dynamic_partitions(name, added)
    for slug in retired:
        instance.delete_dynamic_partition(name, slug)
    return added, retired


def compare_partitions(instance: dg.DagsterInstance, slugs: Sequence[str]) -> tuple[list[str], list[str]]:
    """The motions that have no partition yet, and the partitions that are no motions any more."""
    current = instance.get_dynamic_partitions(str(motions.name))
    return [slug for slug in slugs if slug not in current], [slug for slug in current if slug not in slugs]


def _write_groups(folder: Path, clips: Path, descriptors_folder: Path, config: Any) -> None:
    """motions.json, groups.parquet, and groups.png if there are clips. config: a `GroupConfig`."""
    import pandas as pd

    from mvmodel.motion.grouping import group_clips
    from mvmodel.motion.motion_map import MotionMap
    from mvmodel.reports.motion_map_plots import draw_overview
    from mvmodel.video.catalogue import Catalogue

    descriptors = pd.read_parquet(descriptors_folder / "descriptors.parquet")
    labels = Catalogue.load(clips).table.set_index("clip")["motion"].reindex(descriptors.index).fillna("")
    groups = group_clips(descriptors, labels, config)
    summary = {"motions": groups.motions, "undersized": groups.undersized, "disagreements": groups.disagreements}
    (folder / "motions.json").write_text(json.dumps(summary, indent=1, default=str))
    trajectories = json.loads((descriptors_folder / "trajectories.json").read_text())
    motion_map = MotionMap.from_groups(descriptors, trajectories, groups.table)
    motion_map.save(folder)
    if len(descriptors):
        draw_overview(motion_map).save(folder / "groups.png")


def _groups_metadata(folder: Path) -> dict[str, Any]:
    import pandas as pd
    from PIL import Image

    groups = read_motion_groups(folder)
    metadata: dict[str, Any] = {
        "motions": len(groups["motions"]),
        "undersized": len(groups["undersized"]),
        "disagreements": len(groups["disagreements"]),
        "partitions": ui_metadata.listing(sorted(groups["motions"])),
        "labels": ui_metadata.listing(read_motion_labels(folder)),
        "groups": ui_metadata.table(pd.read_parquet(folder / "groups.parquet"), rows=60),
    }
    if (folder / "groups.png").exists():
        overview = ui_metadata.inline_image(Image.open(folder / "groups.png"), "motions and their trajectories")
        metadata = {"map": overview, **metadata}
    return metadata


def read_motion_labels(folder: Path) -> dict[str, str]:
    """Slug -> the motion as the manifest spells it, of a `motion_groups` version; without labels that are slugs."""
    import pandas as pd

    table = pd.read_parquet(folder / "groups.parquet")
    labelled = table[(table["source"] == "label") & (table["label"] != table["motion"])].sort_values("clip")
    return dict(zip(labelled["motion"][::-1], labelled["label"][::-1], strict=True))


def read_motion_groups(folder: Path) -> dict[str, Any]:
    """{"motions": {slug: [clip]}, "undersized": ..., "disagreements": [...]} of a `motion_groups` version."""
    return json.loads((folder / "motions.json").read_text())
