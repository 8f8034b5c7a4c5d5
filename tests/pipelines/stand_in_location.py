"""A code location for Dagster's daemon: the pipeline on stand-ins, its automation on, a look every two seconds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    # Here, because Dagster puts the path back when it has read the file.
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
    import stand_ins

    from pipelines.definitions import build_defs

    stand_ins.install()
    return build_defs(
        sections={
            "clips": os.environ["MVMODEL_CLIPS"],
            "automation": {"enabled": True, "interval_s": 2, "retry_minutes": 0.1},
            "requests": {"file": "", "count": 2},
            "evaluation": {"count": 1},
        }
    )
