"""`mvmodel-pipeline materialize`: some assets, with wrong names and motions answered in a sentence."""

from __future__ import annotations

from pathlib import Path

from pipelines.definitions import build_defs
from pipelines.driver.home import dagster_instance, home_lock
from pipelines.driver.phase import run_phase
from pipelines.driver.repair import repair
from pipelines.partitions import motions
from pipelines.selection import check_motion, list_motion_assets, select_assets

ALL_ASSETS_JOB = "__ASSET_JOB"
"""Dagster's name of the job of all assets."""


def materialize_selection(home: Path, selection: str, motion: str = "") -> list[str]:
    """Materialize assets with the settings of a home; returns a sentence per failure.

    selection: in Dagster's syntax. motion: the partition of assets that have one.

    Raises:
        InputError: The selection or the motion is wrong; names what there is.
    """
    defs = build_defs(home=home)
    keys = select_assets(defs, selection)
    with home_lock(home), dagster_instance(home) as instance:
        repair(instance)
        by_motion = list_motion_assets(defs, keys)
        check_motion(motion, by_motion, instance.get_dynamic_partitions(str(motions.name)))
        result = run_phase(defs, instance, ALL_ASSETS_JOB, motion if by_motion else None, keys)
    return result.failures
