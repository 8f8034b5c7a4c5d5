"""`mvmodel clips`: inspect clips before running the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mvmodel.cli.options import AsJson, PackName, RunSize
from mvmodel.cli.output import print_json, print_table
from mvmodel.picture_size import parse_size_option

clips_app = typer.Typer(help="Inspect clips before you use them.", no_args_is_help=True)


@clips_app.command("check")
def check_command(
    path: Annotated[Path, typer.Argument(help="A video, or a folder of clips.")],
    size: RunSize = None,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Report which files can be used, and why the others cannot. Decodes every file and writes nothing."""
    from mvmodel.masks.clip_masks import load_clip_masks
    from mvmodel.packs.info import find_pack_folder, get_default_pack_name, read_run_info
    from mvmodel.video.config import IngestConfig
    from mvmodel.video.ingestion import check_clips

    info = read_run_info(find_pack_folder(pack or get_default_pack_name()), parse_size_option(size))
    config = IngestConfig(frames=info.frames, fps=info.fps, size=info.size)
    rows = []
    for row in check_clips(path, config, read_masks=load_clip_masks):
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
