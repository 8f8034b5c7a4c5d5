"""The one `Definitions` object, which `build_defs` builds for Dagster's commands, for the driver and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.picture_size import parse_size
from pipelines import automation, checks, jobs
from pipelines.assets import experiments, foundation, generation, ingestion, library, masks, motion, reports, training
from pipelines.executors import choose_executor
from pipelines.resources import Gpu, PackResource, Settings
from pipelines.settings import default_clips_folder, home_folder, load_settings
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.io_manager import HandleIOManager
from pipelines.store.verified_files import VERIFY_HOURS

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
"""Run on demand only."""
FOUNDATION_ASSETS = [foundation.world_renders, *foundation.model_assets, foundation.tiny_pack]


def build_resources(home: Path | None = None, sections: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The resources of a home.

    home: None takes the one that the environment names. sections: a settings file's content; None takes the home's.
    """
    home = (home or home_folder()).resolve()
    settings = dict(load_settings(home) if sections is None else sections)
    clips = settings.pop("clips", None) or default_clips_folder()
    pack, root = settings.pop("pack", ""), settings.pop("store", "") or str(home / "store")
    size = parse_size(value) if (value := settings.pop("size", None)) else ""
    hardware = {name: settings.pop(name) for name in ("device", "precision") if name in settings}
    memory = settings.pop("memory", "auto")
    settings.pop("executor", None)
    dtype = "float32" if hardware.get("precision") == "fp32" else "auto"
    options, verify_hours = settings.pop("store_options", {}), settings.pop("verify_hours", VERIFY_HOURS)
    store = ArtifactStore(root=root, work=str(home / "work"), options=options, verify_hours=verify_hours)
    return {
        "settings": Settings(home=str(home), clips=str(clips), sections=settings),
        "pack": PackResource(
            name=pack, device=hardware.get("device", "auto"), dtype=dtype, size=str(size), memory=memory
        ),
        "gpu": Gpu(**hardware),
        "store": store,
        "handles": HandleIOManager(store=store),
        # In place of Dagster's default, which pickles.
        "io_manager": HandleIOManager(store=store),
    }


def build_defs(
    *,
    home: Path | None = None,
    sections: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
    executor: dg.ExecutorDefinition | None = None,
) -> dg.Definitions:
    """All definitions for a home.

    home, sections: as in `build_resources`. resources: replace those of the same name. executor: runs the steps; by
    default the one that the settings name.
    """
    if executor is None:
        settings = load_settings((home or home_folder()).resolve()) if sections is None else sections
        executor = choose_executor(settings.get("executor", "multiprocess"))
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
    """The definitions that `dagster -w workspace.yaml` loads."""
    return build_defs()
