"""`python -m mvmodel.experiments NAME --clips FOLDER --requests CSV --out FOLDER`: an experiment without a pipeline.

Reads clips with masks as `mvmodel train` does, and requests as `mvmodel report` does.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mvmodel.errors import MvmodelError

if TYPE_CHECKING:
    from mvmodel.experiments.bench import Motion
    from mvmodel.packs import Pack


def main(arguments: list[str] | None = None) -> int:
    """Run one experiment, or all; prints each conclusion. Exit code 2 for something that the user can mend."""
    from mvmodel.experiments.catalogue import EXPERIMENTS

    parser = argparse.ArgumentParser(prog="python -m mvmodel.experiments", description=__doc__)
    parser.add_argument("name", choices=[*EXPERIMENTS, "all"])
    parser.add_argument("--clips", type=Path, default=Path("datasets/samples"), help="folder of clips with a manifest")
    parser.add_argument("--requests", type=Path, default=Path("datasets/prompts/requests.csv"))
    parser.add_argument("--motion", action="append", help="a motion of the manifest; may be given more than once")
    parser.add_argument("--out", type=Path, default=Path(".mvmodel/experiments"))
    parser.add_argument("--pack", default=None)
    parser.add_argument("--training-steps", type=int, default=60, help="optimiser steps of the motions' own adapters")
    parser.add_argument("--quick", action="store_true", help="the smallest size, to see that it runs")
    chosen = parser.parse_args(arguments)
    try:
        return _run(chosen)
    except MvmodelError as error:
        print(error, file=sys.stderr)
        return 2


def _run(chosen: argparse.Namespace) -> int:
    from mvmodel.experiments.bench import OWN, Bench
    from mvmodel.experiments.catalogue import EXPERIMENTS
    from mvmodel.experiments.cells import Cells
    from mvmodel.experiments.run import run_experiment
    from mvmodel.packs import load_pack
    from mvmodel.training.config import TrainConfig

    pack = load_pack(chosen.pack)
    cells = Cells(chosen.out / "cells")
    motions = read_motions(pack, chosen.clips, chosen.requests, chosen.motion)
    start = "start" if pack.start_adapter() is not None else None
    training = TrainConfig(steps=1 if chosen.quick else chosen.training_steps, init_from=start)
    names = list(EXPERIMENTS) if chosen.name == "all" else [chosen.name]
    for name in names:
        alone = [[motion] for motion in motions] if EXPERIMENTS[name].per_motion else [motions]
        for group in alone:
            began = time.perf_counter()
            bench = Bench(pack, group, cells, {}, training=training, say=lambda text: print(f"  {text}", flush=True))
            if EXPERIMENTS[name].per_motion:
                bench.tune(OWN, group[0].clips, training)
            config = EXPERIMENTS[name].config.quick() if chosen.quick else None
            place = chosen.out / name / (group[0].name if EXPERIMENTS[name].per_motion else "all")
            folder = run_experiment(name, bench, place, config)
            print((folder / "conclusion.md").read_text())
            print(f"{folder}: {time.perf_counter() - began:.0f} s", flush=True)
    return 0


def read_motions(pack: Pack, clips: Path, requests: Path, wanted: list[str] | None) -> list[Motion]:
    """Every motion of a clip folder's manifest that has requests, with its usable clips; masks are found by the pack.

    Raises InputError when there is none.
    """
    import tempfile

    from mvmodel.errors import InputError
    from mvmodel.experiments.bench import Motion
    from mvmodel.experiments.tasks import read_tasks
    from mvmodel.masks.files import clip_masks
    from mvmodel.segmentation.track import extract
    from mvmodel.training.captions import propose_caption
    from mvmodel.training.config import TrainingClip
    from mvmodel.video.catalogue import IngestConfig, ingest

    info = pack.info
    found: dict[str, list[TrainingClip]] = {}
    with tempfile.TemporaryDirectory() as work:
        equal = IngestConfig(frames=info.frames, fps=info.fps, side=info.resolution)
        catalogue = ingest(clips, Path(work) / "clips", equal)
        for name in catalogue.clips:
            row, frames = catalogue.row(name), catalogue.frames(name)
            if not row["motion"] or (wanted and row["motion"] not in wanted):
                continue
            sequence = clip_masks(clips, row)
            if sequence is None:
                tracked = extract(frames, pack.segmenter(), fps=row["fps"])
                if tracked.quality.weak:
                    continue
                sequence = tracked.sequence
            caption = row["caption"] or propose_caption(pack, frames)
            found.setdefault(row["motion"], []).append(TrainingClip(name, frames, sequence.masks, caption))
    tasks = {motion: read_tasks(requests, motion, pack) for motion in found}
    motions = [Motion(motion, tasks[motion], members) for motion, members in found.items() if tasks[motion]]
    if not motions:
        raise InputError(f"{clips} has no motion that {requests} asks anything for; name motions alike in both")
    return motions


if __name__ == "__main__":
    sys.exit(main())
