"""`mvmodel`, the command line. Thin: every command calls one library function and prints what it gave back.

Nothing heavy is imported until a command needs it, so that `mvmodel --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mvmodel.cli.masks import masks_app
from mvmodel.cli.output import fail, print_json, print_table, talking_aside
from mvmodel.errors import MvmodelError

app = typer.Typer(
    name="mvmodel",
    help="Mask-controlled video generation from a handful of clips.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
clips_app = typer.Typer(help="Clips before anything is made of them.", no_args_is_help=True)
packs_app = typer.Typer(help="Model packs: the models behind everything.", no_args_is_help=True)
app.add_typer(clips_app, name="clips")
app.add_typer(masks_app, name="masks")
app.add_typer(packs_app, name="packs")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
PackName = Annotated[str | None, typer.Option("--pack", help="A pack's name or folder; MVMODEL_PACK, else tiny.")]


@clips_app.command("check")
def clips_check(
    path: Annotated[Path, typer.Argument(help="A video, or a folder of clips.")], json: AsJson = False
) -> None:
    """Say of every file whether it can be used, and why not. Decodes everything, writes nothing."""
    from mvmodel.video.catalogue import check_clips

    rows = []
    for row in check_clips(path):
        if json:
            print_json(row, line=True)
        rows.append(row)
    if not json:
        usable = sum(row["status"] == "clip" for row in rows)
        shown = [
            [
                row["file"],
                row["status"],
                f"{row['width']}×{row['height']}" if row["width"] else "",
                row["frames"],
                row["fps"],
                row["reason"],
            ]
            for row in rows
        ]
        print_table(["file", "status", "size", "frames", "fps", "reason"], shown)
        print(f"{usable} usable, {len(rows) - usable} quarantined")


@packs_app.command("list")
def packs_list(json: AsJson = False) -> None:
    """The packs on this machine."""
    from mvmodel.packs import default_name, list_packs
    from mvmodel.packs.info import read_info

    rows = []
    for name, folder in list_packs().items():
        info = read_info(folder)
        about = {"resolution": info.resolution, "frames": info.frames, "random": info.random, "folder": str(folder)}
        rows.append({"name": name, "default": name == default_name(), **about, "licence": info.licence})
    if json:
        print_json(rows)
    elif rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    else:
        print("no pack yet: `make foundation` trains the tiny one, `mvmodel packs pull sd15` fetches one")


@packs_app.command("check")
def packs_check(
    name: Annotated[str | None, typer.Argument(help="A pack's name or folder.")] = None,
    quick: Annotated[bool, typer.Option(help="On a quarter of the pictures.")] = False,
    json: AsJson = False,
) -> None:
    """Measure a pack's models on held-out renders and compare its files with their hashes."""
    from mvmodel.packs import load_pack

    models = load_pack(name)
    from mvmodel.foundation.check import check_pack

    with talking_aside():
        found = check_pack(models, quick=quick)
    if json:
        print_json(found)
    else:
        wanted = {key: f"at least {least:g}" for key, least in found.get("floors", {}).items()}
        wanted |= {key: f"at most {most:g}" for key, most in found.get("ceilings", {}).items()}
        rows = [[key, value, wanted.get(key, "")] for key, value in found.get("quality", {}).items()]
        print_table(["quality", "measured", "wanted"], rows)
        for key in found.get("below", []) + found.get("above", []):
            print(f"not reached: {key}")
        print(f"{found['name']} {found['hash'][:12]}{', random weights' if found['random'] else ''}")
        for file in found["damaged"]:
            print(f"damaged: {file}")
    if found["damaged"]:
        raise typer.Exit(1)


@packs_app.command("fake")
def packs_fake(
    kind: Annotated[str, typer.Argument(help="sd15, or small.")],
    folder: Annotated[Path, typer.Argument(help="Where to write it.")],
) -> None:
    """Write a pack of full architecture with random weights, for tests and benchmarks."""
    from mvmodel.packs.random_pack import write_fake

    with talking_aside():
        written = write_fake(kind, folder)
    print(written)


@packs_app.command("pull")
def packs_pull(
    name: Annotated[str, typer.Argument(help="sd15.")],
    to: Annotated[Path | None, typer.Option(help="Another folder than the usual one.")] = None,
) -> None:
    """Fetch a pack's weights from their publishers."""
    from mvmodel.packs.pull import pull

    with talking_aside():
        fetched = pull(name, to)
    print(fetched)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. What a user can mend is told in one sentence with exit code 2."""
    from mvmodel.cli import make

    make.register(app)
    try:
        app(arguments)
    except MvmodelError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
