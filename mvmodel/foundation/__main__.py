"""`python -m mvmodel.foundation [STAGE ...]`: train the tiny pack, every stage in order when none is named."""

from __future__ import annotations

import sys
from pathlib import Path

from mvmodel.errors import MvmodelError
from mvmodel.foundation.stages import STAGES, run_stage


def main(arguments: list[str]) -> int:
    from mvmodel.training.loop import Stopped

    try:
        for stage in arguments or STAGES:
            print(f"{stage}: {run_stage(stage, Path('.mvmodel/foundation'))}", flush=True)
    except (MvmodelError, Stopped) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
