"""Named jobs, one per phase: what the driver, the sensor and the schedule launch, and what the UI lists."""

from __future__ import annotations

import dagster as dg

from pipelines.partitions import motions

BEFORE_MOTIONS = dg.AssetSelection.groups("ingestion", "masks", "motion")
PER_MOTION = dg.AssetSelection.groups("training", "generation", "reports") - dg.AssetSelection.assets("leaderboard")
AFTER_MOTIONS = dg.AssetSelection.assets("leaderboard")

ingest = dg.define_asset_job(
    "ingest",
    BEFORE_MOTIONS,
    description="Clips, masks and groups; adds a partition for every motion with enough clips.",
)
motion = dg.define_asset_job(
    "motion",
    PER_MOTION,
    partitions_def=motions,
    description="One motion: its adapter, gates, videos, metrics and report.",
)
compare = dg.define_asset_job("compare", AFTER_MOTIONS, description="The leaderboard over all motions and versions.")
foundation = dg.define_asset_job(
    "foundation", dg.AssetSelection.groups("foundation"), description="Train the tiny pack anew. Hours on a CPU."
)

all_jobs = [ingest, motion, compare, foundation]
"""The phases of a run in their order, then the tiny pack's training."""
