"""The only partitioning: by motion, named by a slug. The asset `motion_groups` adds the partitions."""

from __future__ import annotations

import dagster as dg

from mvmodel.errors import InputError
from mvmodel.text import SLUG

motions = dg.DynamicPartitionsDefinition(name="motion")


def check_slug(name: str) -> str:
    """Return `name` if it is safe in paths, web addresses and command lines, which Dagster does not check.

    Raises InputError if it is not.
    """
    if not SLUG.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a motion: use a-z, 0-9, - and _, at most 63 characters, a letter or digit first"
        )
    return name
