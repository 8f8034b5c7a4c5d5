"""`python -m pipelines`: run everything, trace a file, undo a promotion, clean up after a kill, collect garbage."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mvmodel.errors import MvmodelError

# Threads that wait by spinning make two busy programs on two cores many times slower; read once, when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m pipelines", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--home", type=Path, help="where everything is kept (default: .mvmodel/home)")
        return command

    run = add("run", "Ingest clips, train an adapter per motion, generate, measure, report. Run again, it only adds.")
    run.add_argument("--clips", type=Path, help="a folder of clips (default: datasets/raw, else datasets/samples)")
    run.add_argument("--config", type=Path, help="settings, .yaml or .json; sections as in docs")
    run.add_argument("--pack", default="", help="a model pack's name or folder (default: MVMODEL_PACK, or tiny)")
    run.add_argument("--quick", action="store_true", help="every stage, too short to show anything")
    lineage = add(
        "lineage", "What a file was made from: adapter, training set, masks, clips, pack, code, config, seed."
    )
    lineage.add_argument("path", type=Path)
    lineage.add_argument("--json", action="store_true")
    rollback = add(
        "rollback", "Put an older adapter of a motion back in use. A rerun keeps it until a better one is trained."
    )
    rollback.add_argument("motion")
    rollback.add_argument("version", nargs="?", default="", help="the beginning of a version (default: the one before)")
    add("repair", "Mark runs whose process is dead as failed, and free what they held.")
    gc = add("gc", "List what nothing refers to any more.")
    gc.add_argument("--delete", action="store_true", help="remove it, too")
    gc.add_argument("--keep", type=int, default=3, help="newest versions of every asset that stay (default: 3)")
    gc.add_argument("--days", type=float, default=7.0, help="age of left-over work that goes (default: 7)")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 something failed, 2 wrong input, 130 stopped."""
    given = parser().parse_args(arguments)
    from pipelines import settings
    from pipelines.driver import run

    home = (given.home or settings.home_folder()).expanduser().resolve()
    try:
        with run.interruptible(home):
            return {"run": _run, "lineage": _lineage, "rollback": _rollback, "repair": _repair, "gc": _gc}[
                given.command
            ](given, home)
    except run.RunInterrupted as stop:
        print(stop, file=sys.stderr)
        return 130
    except MvmodelError as error:
        print(error, file=sys.stderr)
        return 2


def _run(given: argparse.Namespace, home: Path) -> int:
    from pipelines.driver import run
    from pipelines.driver.progress import step_timings

    step_timings.live = True
    status = run.run_pipeline(given.clips, home, given.config, given.quick, given.pack)
    summary = json.loads((home / "summary.json").read_text())
    for slug, metrics in summary["motions"].items():
        shown = [
            f"{n} {metrics[n]:.3f}"
            for n in ("iou", "iou_without_mask", "consistency", "alignment")
            if metrics[n] is not None
        ]
        print(f"{slug}: {metrics['clips']} clips, {metrics['videos']} videos, {', '.join(shown) or 'no metrics'}")
    for failure in summary["failures"]:
        print(f"failed: {failure}")
    print(f"{summary['total_seconds']:.0f} s, of which Dagster {summary['dagster_overhead']:.0%}")
    if summary["report"]:
        print(f"report: {summary['report']}")
        print(f"the same in Dagster's UI: make ui HOME_FOLDER={given.home or home}")
    return status


def _lineage(given: argparse.Namespace, home: Path) -> int:
    from pipelines.definitions import build_resources
    from pipelines.store import lineage

    store = build_resources(home)["store"].store
    tree = lineage.lineage_tree(lineage.find_version(given.path, store), store)
    made_with = lineage.read_video_settings(given.path)
    if given.json:
        print(json.dumps({"file": str(given.path), "settings": made_with, **tree}, indent=2))
        return 0
    if made_with:
        print(f"{given.path}: {json.dumps(made_with)}")
    print("\n".join(lineage.format_lineage(tree)))
    return 0


def _rollback(given: argparse.Namespace, home: Path) -> int:
    from pipelines.definitions import build_resources
    from pipelines.driver import run
    from pipelines.promotion import promotion

    with run.dagster_instance(home) as instance:
        done = promotion.rollback(instance, build_resources(home)["store"].store, given.motion, given.version)
    print(f"{done['motion']}: promoted adapter is {done['adapter'][:16]} again (version {done['to'][:16]}).")
    print("Its videos and report: run the pipeline again; those of this adapter are found, not made anew.")
    return 0


def _repair(given: argparse.Namespace, home: Path) -> int:
    from pipelines.driver import run
    from pipelines.driver.repair import repair

    with run.dagster_instance(home) as instance:
        done = repair(instance)
    print("\n".join(done) or "nothing to repair")
    return 0


def _gc(given: argparse.Namespace, home: Path) -> int:
    from pipelines.definitions import build_resources
    from pipelines.driver import run
    from pipelines.store import gc

    store = build_resources(home)["store"].store
    with run.home_lock(home), run.dagster_instance(home) as instance:
        found = gc.find_garbage(instance, store, given.keep, given.days)
        for entry in found:
            print(f"{entry.bytes / 1e6:9.2f} MB  {entry.what}: {entry.path}")
        total = sum(entry.bytes for entry in found)
        if given.delete:
            gc.delete_garbage(found, store)
    print(f"{len(found)} things, {total / 1e6:.2f} MB" + (" removed" if given.delete else "; --delete removes them"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
