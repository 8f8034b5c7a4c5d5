"""The one partitioning: a motion, named by a slug. Keys come from `motion_groups`, never from a user's typing."""

from __future__ import annotations

import dagster as dg

from mvmodel.errors import InputError
from mvmodel.text import SLUG

motions = dg.DynamicPartitionsDefinition(name="motion")


def check_slug(name: str) -> str:
    """`name`, if it may stand in paths, addresses and command lines; Dagster itself would take any text."""
    if not SLUG.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a motion: use a-z, 0-9, - and _, at most 63 characters, a letter or digit first"
        )
    return name
