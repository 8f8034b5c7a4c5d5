"""The jobs, one per phase of a run. The driver, the sensor and the schedule launch them; the UI lists them."""

from __future__ import annotations

import dagster as dg

from pipelines.partitions import motions

INGESTION_ASSETS = dg.AssetSelection.groups("ingestion", "masks", "motion") | dg.AssetSelection.assets("raw_folder")
MOTION_ASSETS = dg.AssetSelection.groups("training", "generation", "reports") - dg.AssetSelection.assets("leaderboard")
LEADERBOARD_ASSETS = dg.AssetSelection.assets("leaderboard")

ingest_job = dg.define_asset_job(
    "ingest",
    INGESTION_ASSETS,
    description="Ingests the raw clips, extracts masks and groups clips by motion. Adds a partition for every motion "
    "that has enough clips.",
)
motion_job = dg.define_asset_job(
    "process_motion",
    MOTION_ASSETS,
    partitions_def=motions,
    description="Processes one motion: trains its adapter, applies the gates, generates and measures its videos, "
    "and writes its report.",
)
leaderboard_job = dg.define_asset_job(
    "update_leaderboard",
    LEADERBOARD_ASSETS,
    description="Updates the leaderboard of all motions and all their versions.",
)
foundation_job = dg.define_asset_job(
    "train_tiny_pack",
    dg.AssetSelection.groups("foundation"),
    description="Trains the tiny pack from scratch. Takes hours on a CPU.",
)

all_jobs = [ingest_job, motion_job, leaderboard_job, foundation_job]
"""The phases of a run in order, then the training of the tiny pack."""
