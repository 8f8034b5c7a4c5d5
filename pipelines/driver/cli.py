"""`mvmodel-pipeline`: run the pipeline, trace files, roll back adapters, repair records, delete unused versions.

Commands import Dagster inside their functions, so that `mvmodel-pipeline --help` answers at once.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from mvmodel.cli.exits import INTERRUPTED, run_app
from mvmodel.cli.options import AsJson, RunSize
from mvmodel.cli.output import print_findings, print_json, print_table

# Threads that wait by spinning make two busy programs on two cores many times slower; read once, when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

app = typer.Typer(
    name="mvmodel-pipeline",
    help="Run the mvmodel pipeline and manage what it stored.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
LogFormat = Literal["text", "json"]
Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Folder with the store and Dagster's records. Default: that of $DAGSTER_HOME, else .mvmodel/home, else "
        "the one in .mvmodel that was used last.",
    ),
]


def _command_name() -> str:
    """What a shell needs in order to run this program again: its name if that is on the path, else where it is."""
    name = "mvmodel-pipeline"
    return sys.argv[0] if Path(sys.argv[0]).name == name and shutil.which(name) is None else name


@app.command()
def run(
    clips: Annotated[
        Path | None, typer.Option(help="Folder of clips. Default: datasets/raw, or datasets/samples if that is empty.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file, .yaml or .json; see docs/settings.md.")] = None,
    pack: Annotated[
        str, typer.Option(help="Name or folder of the model pack. Default: $MVMODEL_PACK, then tiny.")
    ] = "",
    size: RunSize = None,
    segmenter: Annotated[
        str, typer.Option("--segmenter", help="What makes the masks: see masks.segmenter in docs/settings.md.")
    ] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Run every stage as briefly as possible, to check that it works.")
    ] = False,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train every adapter again, even if nothing changed.")
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Progress as text, or as one JSON object per line.")
    ] = "text",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Use a --home that has other files in it. Clips are never overwritten.")
    ] = False,
    home: Home = None,
) -> None:
    """Ingest clips, train an adapter per motion, generate videos, measure them and write reports.

    Stored results are reused, so an interrupted run resumes and a second run only adds what is new.
    """
    with _interruptible_home(home, new=True) as folder:
        from pipelines.driver.progress import step_timings
        from pipelines.driver.run import run_pipeline

        step_timings.live, step_timings.log_format = True, log_format
        status = run_pipeline(clips, folder, config, quick, pack, overwrite, size or "", segmenter, retrain)
        if log_format == "json":
            print_json({"message": "summary", **json.loads((folder / "summary.json").read_text())}, line=True)
        else:
            _print_summary(folder, home or folder)
    raise typer.Exit(status)


def _print_summary(folder: Path, home_option: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    for slug, motion in summary["motions"].items():
        names = ("iou", "iou_without_mask", "consistency", "alignment")
        metrics = ", ".join(f"{name} {motion[name]:.3f}" for name in names if motion[name] is not None)
        print(f"{slug}: {motion['clips']} clips, {motion['videos']} videos, {metrics or 'no metrics'}")
    for failure in summary["failures"]:
        print(f"failed: {failure}")
    print(f"{summary['total_seconds']:.0f} s, {summary['dagster_overhead']:.0%} of it spent in Dagster")
    if summary["report"]:
        print(f"report: {summary['report']}")
        print(f"Dagster's UI for this home: {_command_name()} ui --home {home_option}")


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's UI on 127.0.0.1.")] = 3000,
    report_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the reports on 127.0.0.1.")] = 3001,
    home: Home = None,
) -> None:
    """Serve Dagster's UI, its daemon, which automation needs, and the reports of a home, on this machine only.

    Links in the UI open reports if the setting `report_address` names the port of the reports.
    """
    with _interruptible_home(home) as folder:
        from pipelines.driver.ui import serve_ui

        status = serve_ui(folder, port, report_port)
    raise typer.Exit(status)


@app.command()
def materialize(
    selection: Annotated[
        str, typer.Argument(help="Assets in Dagster's syntax: clips,foreground_masks or group:reports.")
    ],
    motion: Annotated[str, typer.Option("--motion", help="Name of the motion, for assets that every motion has.")] = "",
    home: Home = None,
) -> None:
    """Make some assets, and nothing that they are made from. `mvmodel-pipeline run` makes everything.

    The settings are those of the home's last run. What is stored already is reused.
    """
    with _interruptible_home(home) as folder:
        from pipelines.driver.materialize import materialize_selection
        from pipelines.driver.progress import step_timings

        step_timings.live = True
        failures = materialize_selection(folder, selection, motion)
    raise typer.Exit(1 if failures else 0)


@app.command()
def lineage(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file that a run of this home wrote, or a copy.")],
    json: AsJson = False,
    home: Home = None,
) -> None:
    """Show what a file was made from: adapter, training set, masks, clips, pack, code, settings, seed."""
    with _interruptible_home(home) as folder:
        from pipelines.definitions import build_resources
        from pipelines.store.lineage import (
            LINEAGE_COLUMNS,
            find_version,
            lineage_tree,
            list_lineage,
            read_video_settings,
        )

        store = build_resources(folder)["store"].store
        tree = lineage_tree(find_version(path, store), store)
        settings = read_video_settings(path)
    if json:
        print_json({"file": str(path), "settings": settings, **tree})
        return
    for name, value in settings.items():
        print(f"{name}: {value}")
    print_table(LINEAGE_COLUMNS, list(list_lineage(tree)))
    print("`--json` adds settings, libraries, hashes of packs and paths.")


@app.command()
def rollback(
    motion: Annotated[str, typer.Argument(help="Name of the motion.")],
    version: Annotated[
        str,
        typer.Argument(help="Start of the hash of a promoted version or adapter. Default: the previous one."),
    ] = "",
    json: AsJson = False,
    home: Home = None,
) -> None:
    """Put an earlier adapter of a motion back in use, until a better one is trained."""
    with _interruptible_home(home) as folder:
        from pipelines.definitions import build_resources
        from pipelines.driver.home import dagster_instance
        from pipelines.promotion import promotion

        with dagster_instance(folder) as instance:
            change = promotion.rollback(instance, build_resources(folder)["store"].store, motion, version)
    if json:
        print_json(change)
        return
    print(f"{change['motion']}: adapter {change['adapter'][:16]} is in use again (version {change['to'][:16]}).")
    print("Run the pipeline again to restore its videos and report; they are still stored.")


@app.command()
def repair(json: AsJson = False, home: Home = None) -> None:
    """Mark runs whose process has died as failed, and free the concurrency slots that they held."""
    with _interruptible_home(home) as folder:
        from pipelines.driver import repair as repairs
        from pipelines.driver.home import dagster_instance

        with dagster_instance(folder) as instance:
            sentences = repairs.repair(instance)
    if json:
        print_json(sentences)
    else:
        print("\n".join(sentences) or "nothing to repair")


@app.command()
def doctor(json: AsJson = False, home: Home = None) -> None:
    """Check Dagster's records, the store, the pack, the GPU's memory, and what killed runs left behind.

    Says how to fix what is wrong. `mvmodel doctor` checks the machine. Exits with code 1 if something is broken.
    """
    with _interruptible_home(home) as folder:
        from pipelines.driver.doctor import run_home_checks

        findings = run_home_checks(folder)
    print_findings(findings, json)


@app.command()
def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Delete what is listed.")] = False,
    keep: Annotated[int, typer.Option(help="Keep this many of the newest versions of every asset.")] = 3,
    days: Annotated[float, typer.Option(help="List only what is older than so many days.")] = 7.0,
    json: AsJson = False,
    home: Home = None,
) -> None:
    """List stored versions and unfinished work that nothing refers to any more."""
    with _interruptible_home(home) as folder:
        from pipelines.definitions import build_resources
        from pipelines.driver.home import dagster_instance, home_lock
        from pipelines.store.gc import delete_garbage, find_garbage

        store = build_resources(folder)["store"].store
        with home_lock(folder), dagster_instance(folder) as instance:
            garbage = find_garbage(instance, store, keep, days)
            if delete:
                delete_garbage(garbage)
    total = sum(item.bytes for item in garbage) / 1e6
    if json:
        items = [{"what": item.description, "path": str(item.path), "bytes": item.bytes} for item in garbage]
        print_json({"items": items, "removed": delete})
        return
    if garbage:
        print_table(["MB", "what", "path"], [[f"{i.bytes / 1e6:.2f}", i.description, i.path] for i in garbage])
    print(f"{len(garbage)} items, {total:.2f} MB" + (" removed" if delete else "; add --delete to remove them"))


@app.command()
def verify(home: Home = None) -> None:
    """Hash every stored file and list what is damaged. Steps do this by themselves for the versions that they use."""
    with _interruptible_home(home) as folder:
        from pipelines.definitions import build_resources
        from pipelines.store.verification import find_damage

        store = build_resources(folder)["store"].model_copy(update={"verify_hours": 0.0}).store
        reasons = [reason for _, reason in find_damage(store)]
        damage = [reason for reason in reasons if reason]
        print("\n".join([*damage, f"{len(reasons)} versions, {len(damage)} damaged"]))
    raise typer.Exit(1 if damage else 0)


@contextmanager
def _interruptible_home(home: Path | None, new: bool = False) -> Iterator[Path]:
    """The home folder to work in, absolute; SIGINT and SIGTERM end the work in it cleanly.

    home: None is the home in use, or, if the command may make a `new` one, the default.
    """
    from pipelines.driver.home import RunInterrupted, find_home, interruptible
    from pipelines.settings import home_folder

    folder = (home or (home_folder() if new else find_home())).expanduser().resolve()
    try:
        with interruptible(folder):
            yield folder
    except RunInterrupted as interrupted:
        raise typer.Exit(INTERRUPTED) from interrupted


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 a stage failed, 2 wrong input, 130 or 143 interrupted."""
    return run_app(app, "mvmodel-pipeline", arguments)
