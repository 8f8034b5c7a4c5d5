"""`python -m mvmodel.experiments NAME --clips FOLDER --requests CSV --out FOLDER` runs an experiment outside Dagster.

Reads clips with masks as `mvmodel train` does, and requests as `mvmodel report` does. Experiments on one motion use the
first motion of the manifest unless others are named; `zero_shot_motion` uses all of them. An interrupted run continues
with the unfinished cell when the same command runs again.
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
    """Runs one experiment, or all, and prints each conclusion. Returns 2 after an error that the user can fix."""
    from mvmodel.experiments.catalogue import EXPERIMENTS
    from mvmodel.libraries import quiet_libraries
    from mvmodel.progress import show_progress

    parser = argparse.ArgumentParser(prog="python -m mvmodel.experiments", description=__doc__)
    parser.add_argument("name", choices=[*EXPERIMENTS, "all"])
    parser.add_argument("--clips", type=Path, default=Path("datasets/samples"), help="folder of clips with a manifest")
    parser.add_argument("--requests", type=Path, default=Path("datasets/prompts/requests.csv"))
    parser.add_argument("--motion", action="append", help="a motion of the manifest; may be given more than once")
    parser.add_argument("--every-motion", action="store_true", help="experiments of one motion on every one in turn")
    parser.add_argument("--out", type=Path, default=Path(".mvmodel/experiments"))
    parser.add_argument("--pack", default=None)
    parser.add_argument("--size", help="width and height in pixels, such as 512x320; default: the pack's")
    parser.add_argument("--training-steps", type=int, default=60, help="optimiser steps of the motions' own adapters")
    parser.add_argument("--quick", action="store_true", help="the smallest size, to see that it runs")
    options = parser.parse_args(arguments)
    quiet_libraries()
    try:
        with show_progress():
            return _run(options)
    except MvmodelError as error:
        print(error, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    from mvmodel.backends.training_config import TrainConfig
    from mvmodel.cache import Cache
    from mvmodel.experiments.bench import MOTION_ADAPTER, Bench
    from mvmodel.experiments.catalogue import EXPERIMENTS
    from mvmodel.experiments.run import run_experiment
    from mvmodel.packs import load_pack
    from mvmodel.picture_size import parse_size_option

    began = time.perf_counter()
    pack = load_pack(options.pack, size=parse_size_option(options.size))
    cache = Cache(options.out / "cells")
    start = "start" if pack.start_adapter() is not None else None
    training = TrainConfig(steps=1 if options.quick else options.training_steps, init_from=start)
    names = list(EXPERIMENTS) if options.name == "all" else [options.name]
    motions = load_motions(pack, options.clips, options.requests)
    named_motions = select_motions(motions, options.motion or [])
    single_motions = motions if options.every_motion else named_motions or motions[:1]
    all_motions = named_motions if len(named_motions) > 1 else motions
    ended = []
    for name in names:
        one_by_one = EXPERIMENTS[name].per_motion
        for group in [[motion] for motion in single_motions] if one_by_one else [all_motions]:
            bench = Bench(pack, group, cache, {}, training=training, log=lambda text: print(f"  {text}", flush=True))
            started = time.perf_counter()
            if one_by_one:
                bench.tune(MOTION_ADAPTER, group[0].clips, training)
            config = EXPERIMENTS[name].config.quick() if options.quick else None
            folder = run_experiment(name, bench, options.out / name / (group[0].name if one_by_one else "all"), config)
            print((folder / "conclusion.md").read_text())
            ended.append(f"{folder}: {bench.work}; {time.perf_counter() - started:.0f} s in all")
            print(ended[-1], flush=True)
    if len(ended) > 1:
        print("", *ended, f"{len(ended)} experiments in {(time.perf_counter() - began) / 60:.1f} minutes", sep="\n")
    return 0


def select_motions(motions: list[Motion], names: list[str]) -> list[Motion]:
    """The motions with these names, in that order. Raises InputError for one that is not there."""
    from mvmodel.errors import InputError
    from mvmodel.text import motion_slug

    by_name = {motion.name: motion for motion in motions}
    names = [name if name in by_name else motion_slug(name) for name in names]
    for name in names:
        if name not in by_name:
            raise InputError(f"there is no motion {name} with clips and requests; there are {', '.join(by_name)}")
    return [by_name[name] for name in names]


def load_motions(pack: Pack, clips: Path, requests: Path, names: list[str] | None = None) -> list[Motion]:
    """Every motion of a clip folder's manifest that has requests, with its usable clips; masks are found by the pack.

    Raises InputError when there is none.
    """
    from mvmodel.backends.training_config import TrainingClip
    from mvmodel.errors import InputError
    from mvmodel.experiments.bench import Motion
    from mvmodel.experiments.tasks import load_tasks
    from mvmodel.text import motion_slug
    from mvmodel.training.clips import load_training_clips

    slugs = {motion_slug(name) for name in names or ()}
    loaded = load_training_clips(
        pack, clips, lambda row: bool(row["motion"]) and (not slugs or motion_slug(row["motion"]) in slugs)
    )
    clips_by_motion: dict[str, list[TrainingClip]] = {}
    for clip in loaded.clips:
        clips_by_motion.setdefault(loaded.motions[clip.name], []).append(clip)
    tasks = {motion: load_tasks(requests, motion, pack) for motion in clips_by_motion}
    motions = [Motion(motion, tasks[motion], members) for motion, members in clips_by_motion.items() if tasks[motion]]
    if not motions:
        raise InputError(f"{clips} has no motion that {requests} asks anything for; name motions alike in both")
    return motions


if __name__ == "__main__":
    sys.exit(main())
