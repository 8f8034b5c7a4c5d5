"""The one `Definitions` object. `build_defs` makes it for Dagster's commands, for the driver and for tests alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines import automation, checks, jobs
from pipelines.assets import experiments, foundation, generation, ingestion, library, masks, motion, reports, training
from pipelines.resources import Gpu, PackResource, Settings
from pipelines.settings import default_clips_folder, home_folder, load_settings
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.io_manager import HandleIOManager

INGESTION_ASSETS = [
    ingestion.raw_clips,
    ingestion.clips,
    masks.foreground_masks,
    motion.motion_descriptors,
    motion.motion_groups,
    library.mask_library,
]
MOTION_ASSETS = [
    training.training_set,
    training.motion_adapter,
    training.adapter_evaluation,
    training.promoted_adapter,
    generation.generation_requests,
    generation.first_frames,
    generation.generated_videos,
    reports.video_metrics,
    reports.metric_report,
    reports.leaderboard,
]
EXPERIMENT_ASSETS = [*experiments.motion_experiments, experiments.zero_shot_motion]
"""On demand only: nothing materialises them by itself."""
FOUNDATION_ASSETS = [foundation.world_renders, *foundation.model_assets, foundation.tiny_pack]


def build_resources(home: Path | None = None, sections: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The resources of a home. home: None takes the environment's; sections: None takes the home's settings.json."""
    home = (home or home_folder()).resolve()
    chosen = dict(load_settings(home) if sections is None else sections)
    clips = chosen.pop("clips", None) or default_clips_folder()
    pack, store = chosen.pop("pack", ""), chosen.pop("store", "") or str(home / "store")
    placed = {name: chosen.pop(name) for name in ("device", "precision") if name in chosen}
    whole = "float32" if placed.get("precision") == "fp32" else "auto"
    artefacts = ArtifactStore(root=store, work=str(home / "work"))
    return {
        "settings": Settings(home=str(home), clips=str(clips), sections=chosen),
        "pack": PackResource(name=pack, device=placed.get("device", "auto"), dtype=whole),
        "gpu": Gpu(**placed),
        "store": artefacts,
        "handles": HandleIOManager(store=artefacts),
    }


def build_defs(
    *,
    home: Path | None = None,
    sections: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
    executor: dg.ExecutorDefinition | None = None,
) -> dg.Definitions:
    """Everything, for a home. resources: put in place of those of the same name; executor: how steps are run."""
    return dg.Definitions(
        assets=[*INGESTION_ASSETS, *automation.with_automation(MOTION_ASSETS), *EXPERIMENT_ASSETS, *FOUNDATION_ASSETS],
        asset_checks=checks.all_checks,
        jobs=jobs.all_jobs,
        sensors=[automation.new_clips, automation.follow_changes],
        schedules=[automation.weekly_retraining],
        resources={**build_resources(home, sections), **(resources or {})},
        executor=executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster -w workspace.yaml` loads."""
    return build_defs()
