"""`python -m mvmodel.foundation [STAGE ...]`: train the tiny pack, every stage in order when none is named."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mvmodel.errors import MvmodelError, TrainingInterrupted
from mvmodel.foundation.stages import STAGES, run_stage
from mvmodel.libraries import quiet_libraries


def main(arguments: list[str]) -> int:
    quiet_libraries()
    parser = argparse.ArgumentParser(prog="python -m mvmodel.foundation", description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"one of {', '.join(STAGES)}; default: all")
    parser.add_argument("--folder", type=Path, default=Path(".mvmodel/foundation"), help="folder of the training runs")
    parser.add_argument("--start", type=Path, help="start from this pack's weights, where they fit")
    parser.add_argument("--out", type=Path, help="where the stage `pack` writes; default: the shipped pack's folder")
    parser.add_argument("--steps", type=int, help="optimizer steps; default: the stage's own")
    parser.add_argument("--lr", type=float, help="peak learning rate; default: the stage's own")
    options = parser.parse_args(arguments)
    changes = {name: value for name, value in (("steps", options.steps), ("lr", options.lr)) if value is not None}
    try:
        for stage in options.stages or STAGES:
            print(f"{stage}: {run_stage(stage, options.folder, options.out, options.start, changes)}", flush=True)
    except TrainingInterrupted as error:
        print(error, file=sys.stderr)
        return 128 + error.signal_number
    except MvmodelError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
