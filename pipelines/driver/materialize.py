"""`mvmodel-pipeline materialize`: some assets, with wrong names and motions answered in a sentence."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from mvmodel.errors import InputError
from pipelines.definitions import build_defs
from pipelines.driver.home import dagster_instance, home_lock
from pipelines.driver.phase import run_phase
from pipelines.driver.repair import repair
from pipelines.partitions import motions

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
        graph = defs.resolve_asset_graph()
        by_motion = [key.to_user_string() for key in keys if graph.get(key).partitions_def is not None]
        check_motion(motion, by_motion, instance.get_dynamic_partitions(str(motions.name)))
        result = run_phase(defs, instance, ALL_ASSETS_JOB, motion if by_motion else None, keys)
    return result.failures


def select_assets(defs: dg.Definitions, selection: str) -> list[dg.AssetKey]:
    """The assets of a selection. Raises InputError if it has none or cannot be read."""
    graph = defs.resolve_asset_graph()
    names = sorted(key.to_user_string() for key in graph.materializable_asset_keys)
    parts = [part.strip() for part in selection.split(",") if part.strip()]
    if "(" in selection:  # an expression, in which a comma may be inside a call
        parts = [selection]
    unknown = [part for part in parts if part.replace("_", "a").isalnum() and part not in names]
    if unknown:
        raise InputError(f"there is no asset {unknown[0]!r}; {_suggest(unknown[0], names)}")
    try:
        selections = [dg.AssetSelection.from_string(part) for part in parts or [selection]]
        keys = set().union(*(selection.resolve(graph) for selection in selections))
    except Exception as error:  # Dagster has several kinds for what it cannot read
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{selection!r} is no selection of assets ({reason}); write names with commas, or group:reports"
        ) from error
    keys = keys & graph.materializable_asset_keys
    if not keys:
        raise InputError(f"{selection!r} selects no assets; there are {', '.join(names)}")
    return sorted(keys)


def check_motion(motion: str, assets: Sequence[str], names: Sequence[str]) -> None:
    """Raise InputError unless `motion` is one of `names`, if some of the `assets` need one, or empty if none does."""
    if not assets:
        if motion:
            raise InputError(f"--motion {motion}: none of these assets belongs to a motion; leave it out")
    elif motion not in names:
        problem = f"there is no motion {motion!r}" if motion else f"{assets[0]} belongs to a motion; add --motion NAME"
        raise InputError(f"{problem}; {_suggest(motion, names)}")


def _suggest(name: str, names: Sequence[str]) -> str:
    if nearest := difflib.get_close_matches(name, names, n=1):
        return f"did you mean {nearest[0]!r}?"
    return f"there are {', '.join(sorted(names))}" if names else "there are none yet: materialize motion_groups first"
