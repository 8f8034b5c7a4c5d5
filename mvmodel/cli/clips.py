"""`mvmodel clips`: inspect clips before running the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mvmodel.cli.options import AsJson
from mvmodel.cli.output import print_json, print_table

clips_app = typer.Typer(help="Inspect clips before you use them.", no_args_is_help=True)


@clips_app.command("check")
def check_command(
    path: Annotated[Path, typer.Argument(help="A video, or a folder of clips.")], json: AsJson = False
) -> None:
    """Report which files can be used, and why the others cannot. Decodes every file and writes nothing."""
    from mvmodel.masks.clip_masks import load_clip_masks
    from mvmodel.video.ingestion import check_clips

    rows = []
    for row in check_clips(path, read_masks=load_clip_masks):
        if json:
            print_json(row, line=True)
        rows.append(row)
    if json:
        return
    table = []
    for row in rows:
        size = f"{row['width']}×{row['height']}" if row["width"] else ""
        table.append([row["file"], row["status"], size, row["frames"], row["fps"], row["reason"]])
    print_table(["file", "status", "size", "frames", "fps", "reason"], table)
    usable = sum(row["status"] == "clip" for row in rows)
    print(f"{usable} usable, {len(rows) - usable} quarantined")
