"""Assets and motions that a command line names. Wrong names are answered in a sentence, also by Dagster's commands."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from types import TracebackType

import dagster as dg
from dagster._check import CheckError
from dagster._core.errors import DagsterUnknownPartitionError

from mvmodel.cli.output import print_error
from mvmodel.errors import InputError
from pipelines.partitions import motions


def list_motion_assets(defs: dg.Definitions, keys: Sequence[dg.AssetKey]) -> list[str]:
    """Names of the assets that every motion has."""
    graph = defs.resolve_asset_graph()
    return [key.to_user_string() for key in keys if graph.get(key).partitions_def is not None]


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


def check_motion(motion: str, assets: Sequence[str], names: Sequence[str], option: str = "--motion") -> None:
    """Raise InputError unless `motion` is one of `names`, if some of the `assets` need one, or empty if none does.

    option: of the command line, for the sentence.
    """
    if not assets:
        if motion:
            raise InputError(f"{option} {motion}: none of these assets belongs to a motion; leave it out")
    elif motion not in names:
        problem = f"there is no motion {motion!r}" if motion else f"{assets[0]} belongs to a motion; add {option} NAME"
        raise InputError(f"{problem}; {_suggest(motion, names)}")


def _suggest(name: str, names: Sequence[str]) -> str:
    if nearest := difflib.get_close_matches(name, names, n=1):
        return f"did you mean {nearest[0]!r}?"
    return f"there are {', '.join(sorted(names))}" if names else "there are none yet: materialize motion_groups first"


NAME_ERRORS = (dg.DagsterInvalidSubsetError, DagsterUnknownPartitionError, CheckError)
"""What Dagster's commands end with for names that do not exist, with a traceback."""


def explain_wrong_names(defs: dg.Definitions) -> None:
    """Let `dagster asset materialize` end with a sentence for wrong assets, motions and run configs.

    Dagster has no hook for that, but it loads the definitions before it looks at names, and leaves its errors to
    Python's hook for uncaught ones. Other errors have their traceback as before.
    """
    earlier_hook = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        sentence = describe_command_error(defs, error, sys.argv)
        if sentence is None:
            earlier_hook(kind, error, traceback)
        else:
            print_error(sentence, "dagster")

    sys.excepthook = hook


def describe_command_error(defs: dg.Definitions, error: BaseException, arguments: Sequence[str]) -> str | None:
    """The sentence for an error of `dagster asset materialize`; None for other commands and other errors."""
    if list(arguments[1:3]) != ["asset", "materialize"]:
        return None
    if isinstance(error, dg.DagsterInvalidConfigError):
        return str(error)
    if not isinstance(error, NAME_ERRORS):
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--select", default="")
    parser.add_argument("--partition", default="")
    options, _ = parser.parse_known_args(arguments[3:])
    try:
        keys = select_assets(defs, options.select)
        with dg.DagsterInstance.get() if os.environ.get("DAGSTER_HOME") else dg.DagsterInstance.ephemeral() as instance:
            names = instance.get_dynamic_partitions(str(motions.name))
        check_motion(options.partition, list_motion_assets(defs, keys), names, "--partition")
    except InputError as sentence:
        return str(sentence)
    return None
