"""The one `Definitions` object, which `build_defs` builds for Dagster's commands, for the driver and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.config import parse_config
from mvmodel.picture_size import parse_size
from pipelines import jobs
from pipelines.ad_hoc import generate
from pipelines.assets import experiments, foundation, ingestion, library, masks, motion, reports
from pipelines.automation import build_automation, conditions
from pipelines.automation.event_log import purge_old_runs
from pipelines.automation_config import HOOKS, AutomationConfig
from pipelines.executors import choose_executor
from pipelines.resources import Gpu, PackInfoResource, PackResource, Settings
from pipelines.selection import explain_wrong_names
from pipelines.settings import TopLevelConfig, default_clips_folder, home_folder, load_settings
from pipelines.step_processes import end_with_worker, record_processes
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
MOTION_ASSETS = [*jobs.MOTION_STAGES, reports.metric_report]
"""Those that the leaderboard ranks."""
EXPERIMENT_ASSETS = [*experiments.motion_experiments, experiments.zero_shot_motion]
"""Run on demand only."""
FOUNDATION_ASSETS = [foundation.world_renders, *foundation.model_assets, foundation.tiny_pack]


def build_resources(home: Path | None = None, sections: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The resources of a home.

    home: None takes the one that the environment names. sections: a settings file's content; None takes the home's.

    What the resources are given is part of Dagster's records and of every form in the launchpad. The settings of the
    home that the environment names are read when a step needs them instead.
    """
    names_home = home is not None or sections is not None
    home = (home or home_folder()).resolve()
    settings = dict(load_settings(home) if sections is None else sections)
    clips = settings.pop("clips", None) or default_clips_folder()
    pack, root = settings.pop("pack", ""), settings.pop("store", "") or str(home / "store")
    size = parse_size(value) if (value := settings.pop("size", None)) else ""
    hardware = {name: settings.pop(name) for name in ("device", "precision") if name in settings}
    memory, workers = settings.pop("memory", "auto"), settings.pop("workers", 1)
    for name in ("executor", "mask_steps"):
        settings.pop(name, None)
    address = settings.pop("report_address", None) or TopLevelConfig().report_address
    dtype = "float32" if hardware.get("precision") == "fp32" else "auto"
    options, verify_hours = settings.pop("store_options", {}), settings.pop("verify_hours", VERIFY_HOURS)
    store = ArtifactStore(root=root, work=str(home / "work"), options=options, verify_hours=verify_hours)
    models = PackResource(
        name=pack,
        device=hardware.get("device", "auto"),
        dtype=dtype,
        size=str(size),
        memory=memory,
        workers=workers,
    )
    return {
        "settings": Settings(
            home=str(home), clips=str(clips), sections=_without_hooks(settings), report_address=address
        )
        if names_home
        else Settings(),
        "pack": models,
        "pack_info": PackInfoResource(pack=models),
        "gpu": Gpu(**hardware),
        "store": store,
        "handles": HandleIOManager(store=store),
        # In place of Dagster's default, which pickles.
        "io_manager": HandleIOManager(store=store),
    }


def _without_hooks(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the user's hooks, which may hold secrets and which no step needs."""
    automation = {n: v for n, v in (sections.get("automation") or {}).items() if n not in HOOKS}
    return {**sections, **({"automation": automation} if "automation" in sections else {})}


def build_defs(
    *,
    home: Path | None = None,
    sections: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
    executor: dg.ExecutorDefinition | None = None,
) -> dg.Definitions:
    """All definitions for a home.

    home, sections: as in `build_resources`. resources: replace those of the same name. executor: runs the steps; None
    takes the one that the settings name.
    """
    settings = load_settings((home or home_folder()).resolve()) if sections is None else sections
    config = parse_config(AutomationConfig, settings.get("automation") or {}, "automation")
    days = config.freshness_days if config.enabled else 0.0
    executor = executor or choose_executor(
        settings.get("executor") or "in_process", with_gpu=settings.get("device") != "cpu"
    )
    ingestion_assets = _ingestion_assets(settings)
    ingest_job = jobs.build_ingest_job(ingestion_assets)
    return dg.Definitions(
        assets=[
            ingestion.raw_folder,
            *conditions.with_freshness(ingestion_assets, days),
            # Of a motion that nothing has changed in, the weekly retraining makes no new records: no age is too old.
            *conditions.with_automation(MOTION_ASSETS),
            *conditions.with_freshness(conditions.with_automation([reports.leaderboard]), days),
            *EXPERIMENT_ASSETS,
            *FOUNDATION_ASSETS,
        ],
        jobs=[ingest_job, *jobs.other_jobs, generate, purge_old_runs],
        **build_automation(config),
        resources={**build_resources(home, sections), **(resources or {})},
        executor=record_processes(executor),
    )


def _ingestion_assets(sections: Mapping[str, Any]) -> list[dg.AssetsDefinition]:
    """`INGESTION_ASSETS`, with the steps that share the computation of masks if the settings ask for some."""
    executor = sections.get("executor") or "in_process"
    count = 1 if executor == "in_process" else sections.get("mask_steps") or 1
    shares = masks.build_mask_shares(count, with_gpu=sections.get("device") != "cpu")
    if not shares:
        return INGESTION_ASSETS
    merged = masks.build_foreground_masks(shares)
    return [*shares, *(merged if asset is masks.foreground_masks else asset for asset in INGESTION_ASSETS)]


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions that `dagster -w workspace.yaml` loads, and every process of a step."""
    end_with_worker()
    definitions = build_defs()
    explain_wrong_names(definitions)
    return definitions
