"""The jobs, one per phase of a run. The driver, the sensor and the schedule launch them; the UI lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from pipelines.assets import experiments, generation, reports, training
from pipelines.assets.foundation import FOUNDATION_MODELS
from pipelines.partitions import motions

INGESTION_ASSETS = dg.AssetSelection.groups("ingestion", "masks", "motion") | dg.AssetSelection.assets("raw_folder")
MOTION_ASSETS = dg.AssetSelection.groups("training", "generation", "reports") - dg.AssetSelection.assets("leaderboard")
LEADERBOARD_ASSETS = dg.AssetSelection.assets("leaderboard")

INGEST_JOB = "ingest"
NO_FORM: dict[str, Any] = {"ops": {}}
"""Run config of jobs without a form: without any, the launchpad would open with the values of all resources."""
FOUNDATION_CONFIG = {"ops": {name: {"config": {"train": True}} for name in (*FOUNDATION_MODELS, "tiny_pack")}}
"""Asks for trainings that take hours; without it, a run skips them."""


def name_sections(assets: Sequence[dg.AssetsDefinition]) -> dict[str, Any]:
    """Run config that names the sections of every form and sets nothing, for the launchpad to open with.

    It has no values: those of the home's settings would be out of date as soon as somebody edits them.
    """
    sections: dict[str, Any] = {}
    for asset in assets:
        schema: Any = asset.op.config_schema
        if names := list(getattr(schema and schema.config_type, "fields", {})):
            sections[asset.op.name] = {"config": {name: {} for name in names}}
    return {"ops": sections}


def build_ingest_job(assets: Sequence[dg.AssetsDefinition]) -> Any:
    """The first phase of a run. assets: its assets, which depend on the settings."""
    return dg.define_asset_job(
        INGEST_JOB,
        INGESTION_ASSETS,
        config=name_sections(assets),
        description="Ingests the raw clips, extracts masks and groups clips by motion. Adds a partition for every "
        "motion that has enough clips.",
    )


MOTION_STAGES = [
    training.training_set,
    training.motion_adapter,
    training.adapter_evaluation,
    training.promoted_adapter,
    generation.generation_requests,
    generation.first_frames,
    generation.generated_videos,
    reports.video_metrics,
]
"""The assets of a motion that have a form in the launchpad: all but its report."""
motion_job = dg.define_asset_job(
    "process_motion",
    MOTION_ASSETS,
    config=name_sections(MOTION_STAGES),
    partitions_def=motions,
    description="Processes one motion: trains its adapter, applies the gates, generates and measures its videos, "
    "and writes its report. Choose the motion in the launchpad first: then the forms of its stages appear.",
)
leaderboard_job = dg.define_asset_job(
    "update_leaderboard",
    LEADERBOARD_ASSETS,
    config=NO_FORM,
    description="Updates the leaderboard of all motions and all their versions.",
)
experiments_job = dg.define_asset_job(
    "run_experiments",
    dg.AssetSelection.assets(*experiments.MOTION_EXPERIMENTS),
    config=name_sections(experiments.motion_experiments),
    partitions_def=motions,
    description="Runs all experiments on the promoted adapter of one motion, which takes hours on a CPU. Choose some "
    "of its assets to run only those.",
)
zero_shot_job = dg.define_asset_job(
    "run_zero_shot_motion",
    dg.AssetSelection.assets("zero_shot_motion"),
    config=name_sections([experiments.zero_shot_motion]),
    description="Compares one adapter for many motions with one adapter per motion, which trains several adapters.",
)
foundation_job = dg.define_asset_job(
    "train_tiny_pack",
    dg.AssetSelection.groups("foundation"),
    config=FOUNDATION_CONFIG,
    description="Trains the tiny pack from scratch. Takes hours on a CPU.",
)

other_jobs = [motion_job, leaderboard_job, experiments_job, zero_shot_job, foundation_job]
"""The phases of a run after the first in order, then what takes hours."""
