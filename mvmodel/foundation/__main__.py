"""`python -m mvmodel.foundation [STAGE ...]`: train the tiny pack, every stage in order when none is named."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mvmodel.errors import MvmodelError, TrainingInterrupted
from mvmodel.foundation.stages import STAGES, run_stage
from mvmodel.foundation.start_clips import StartAdapterData
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
    parser.add_argument("--batch", type=int, help="pictures or clips a step; default: the stage's own")
    parser.add_argument("--minutes", type=float, help="end the training after so many minutes, on a full schedule")
    adapter = parser.add_argument_group("start_adapter")
    adapter.add_argument("--models", type=Path, help="use this pack's image models instead of the folder's")
    adapter.add_argument("--clips", type=int, default=StartAdapterData.clips, help="how many clips are rendered")
    adapter.add_argument(
        "--exclude-motions",
        nargs="*",
        default=StartAdapterData.exclude_motions,
        metavar="MOTION",
        help=f"motions no clip shows; default: {' '.join(StartAdapterData.exclude_motions)}; without a name, none",
    )
    adapter.add_argument("--device", default=StartAdapterData.device, help="cpu, cuda or auto")
    adapter.add_argument("--workers", type=int, default=StartAdapterData.workers, help="processes that render")
    options = parser.parse_args(arguments)
    names = ("steps", "lr", "batch", "minutes")
    changes = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    data = StartAdapterData(options.clips, tuple(options.exclude_motions), options.device, options.workers)
    try:
        for stage in options.stages or STAGES:
            folder = run_stage(stage, options.folder, options.out, options.start, changes, data, options.models)
            print(f"{stage}: {folder}", flush=True)
    except TrainingInterrupted as error:
        print(error, file=sys.stderr)
        return 128 + error.signal_number
    except MvmodelError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
