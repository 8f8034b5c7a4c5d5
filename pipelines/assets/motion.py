"""Masks to motions: a descriptor per clip, clips grouped, each group of enough clips a partition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.partitions import check_slug, motions
from pipelines.resources import Settings
from pipelines.store.artifact_store import ArtifactStore, with_metadata
from pipelines.store.version_store import Handle


@mvmodel_asset(
    "motion",
    "parquet",
    code_version=code_version(
        "mvmodel.motion.descriptor", "mvmodel.motion.attributes", "mvmodel.motion.trajectory", files=(__file__,)
    ),
)
def motion_descriptors(
    context: dg.AssetExecutionContext, clips: Handle, foreground_masks: Handle, store: ArtifactStore
) -> dg.MaterializeResult[Handle]:
    """How each clip's foreground moves, as named numbers, whatever and wherever it is; and what the camera did."""

    def build(folder: Path) -> None:
        import pandas as pd

        from mvmodel.masks import MaskSequence
        from mvmodel.motion.attributes import compute_motion_attributes
        from mvmodel.motion.descriptor import compute_descriptor
        from mvmodel.motion.trajectory import compute_trajectory, estimate_camera_trajectory
        from mvmodel.video.catalogue import Catalogue

        catalogue = Catalogue.load(clips.folder)
        masks = {p.stem: MaskSequence.load(p) for p in sorted(foreground_masks.folder.glob("*.npz"))}
        rows = {
            clip: compute_descriptor(sequence)
            | compute_motion_attributes(sequence, estimate_camera_trajectory(catalogue.frames(clip)))
            for clip, sequence in masks.items()
        }
        pd.DataFrame.from_dict(rows, orient="index").rename_axis("clip").to_parquet(folder / "descriptors.parquet")
        trajectories = {clip: compute_trajectory(sequence).tolist() for clip, sequence in masks.items()}
        (folder / "trajectories.json").write_text(json.dumps(trajectories))

    def show(folder: Path) -> dict[str, Any]:
        import pandas as pd

        descriptors = pd.read_parquet(folder / "descriptors.parquet")
        return {"clips": len(descriptors), "descriptors": ui_metadata.table(descriptors.reset_index())}

    return store.step(context, {"clips": clips, "foreground_masks": foreground_masks}, {}, build, show)


@mvmodel_asset(
    "motion",
    "scikitlearn",
    "parquet",
    code_version=code_version("mvmodel.motion.grouping", "mvmodel.reports.motion_map_plots", files=(__file__,)),
)
def motion_groups(
    context: dg.AssetExecutionContext,
    clips: Handle,
    motion_descriptors: Handle,
    settings: Settings,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """Which clips share a motion. A group of enough clips becomes a partition of everything downstream; fewer wait."""
    from mvmodel.motion.config import GroupConfig

    config = settings.read("groups", GroupConfig)

    def build(folder: Path) -> None:
        import pandas as pd

        from mvmodel.motion.grouping import group_clips
        from mvmodel.motion.motion_map import MotionMap
        from mvmodel.reports.motion_map_plots import draw_overview
        from mvmodel.video.catalogue import Catalogue

        descriptors = pd.read_parquet(motion_descriptors.folder / "descriptors.parquet")
        labels = Catalogue.load(clips.folder).table.set_index("clip")["motion"].reindex(descriptors.index).fillna("")
        groups = group_clips(descriptors, labels, config)
        kept = {"motions": groups.motions, "undersized": groups.undersized, "disagreements": groups.disagreements}
        (folder / "motions.json").write_text(json.dumps(kept, indent=1, default=str))
        trajectories = json.loads((motion_descriptors.folder / "trajectories.json").read_text())
        grouping = MotionMap.from_groups(descriptors, trajectories, groups.table)
        grouping.save(folder)
        if len(descriptors):
            draw_overview(grouping).save(folder / "groups.png")

    def show(folder: Path) -> dict[str, Any]:
        import pandas as pd

        groups = read_motion_groups(folder)
        drawn = {}
        if (folder / "groups.png").exists():
            from PIL import Image

            drawn["map"] = ui_metadata.inline_image(Image.open(folder / "groups.png"), "motions and their trajectories")
        return {
            **drawn,
            "motions": len(groups["motions"]),
            "undersized": len(groups["undersized"]),
            "disagreements": len(groups["disagreements"]),
            "partitions": dg.MetadataValue.json(sorted(groups["motions"])),
            "groups": ui_metadata.table(pd.read_parquet(folder / "groups.parquet"), rows=60),
        }

    inputs = {"clips": clips, "motion_descriptors": motion_descriptors}
    result = store.step(context, inputs, config, build, show)
    found = sorted(check_slug(name) for name in read_motion_groups(result.value.folder)["motions"])
    new = [name for name in found if not context.instance.has_dynamic_partition(str(motions.name), name)]
    context.instance.add_dynamic_partitions(str(motions.name), new)
    return with_metadata(result, added_partitions=dg.MetadataValue.json(new))


def read_motion_groups(folder: Path) -> dict[str, Any]:
    """{"motions": {slug: [clip]}, "undersized": ..., "disagreements": [...]} of a `motion_groups` version."""
    return json.loads((folder / "motions.json").read_text())
