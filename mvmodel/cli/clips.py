"""`mvmodel clips`: inspect clips before running the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mvmodel.cli.options import AsJson, FitClipMasks, Overflow, OverflowName, PackName, RunSize
from mvmodel.cli.output import print_error, print_json, print_table
from mvmodel.picture_size import parse_size_option

MAX_CAPTION_CHARACTERS = 60
"""Longer captions are cut in the table for people; JSON has all of them."""

clips_app = typer.Typer(help="Inspect clips before you use them.", no_args_is_help=True)


@clips_app.command("check")
def check_command(
    path: Annotated[Path, typer.Argument(help="A video, or a folder of clips.")],
    size: RunSize = None,
    overflow: Overflow = OverflowName.quarantine,
    fit: FitClipMasks = None,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Report which files can be used, and why the others cannot. Decodes every file and writes nothing.

    Names the frames that are kept, the caption and where it is from, the motion and the masks of every file. Exits with
    code 1 if there is no clip to check.
    """
    from mvmodel.masks.clip_masks import load_footage_masks
    from mvmodel.packs.info import find_pack_folder, get_default_pack_name, read_run_info
    from mvmodel.segmentation.saliency import find_moving_areas
    from mvmodel.video.config import IngestConfig
    from mvmodel.video.ingestion import check_clips

    info = read_run_info(find_pack_folder(pack or get_default_pack_name()), parse_size_option(size))
    config = IngestConfig(
        frames=info.frames, fps=info.fps, size=info.size, overflow=overflow.value, mask_fit=fit.value if fit else None
    )
    rows = []
    for row in check_clips(path, config, load_footage_masks, find_moving_areas):
        if json:
            print_json(row, line=True)
        rows.append(row)
    if not json:
        _print_rows(rows)
    if not rows:
        print_error(f"{path} has no clips; put videos or folders of frames there")
        raise typer.Exit(1)


def _print_rows(rows: list[dict[str, Any]]) -> None:
    """Print a line per file, without the columns that are empty for all of them, and the counts."""
    usable = sum(row["status"] == "clip" for row in rows)
    lines = [_describe_row(row) for row in rows]
    columns = [name for name in (lines[0] if lines else ()) if any(line[name] not in ("", None) for line in lines)]
    if lines:
        print_table(columns, [[line[name] for name in columns] for line in lines])
    manifest_rows = sum(row["manifest_rows"] for row in rows)
    manifest = f"; {manifest_rows} lines of the manifest" if manifest_rows else ""
    print(f"{usable} usable, {len(rows) - usable} quarantined{manifest}")


def _describe_row(row: dict[str, Any]) -> dict[str, Any]:
    """Column -> text of one file."""
    from mvmodel.video.ingestion import NO_MASKS

    caption = row["caption"]
    if len(caption) > MAX_CAPTION_CHARACTERS:
        caption = f"{caption[:MAX_CAPTION_CHARACTERS].rstrip()}…"
    notes = [row["reason"], row["note"], row["caption_note"]]
    if row["masks_reason"] not in ("", NO_MASKS, row["reason"]):
        notes.append(row["masks_reason"])
    crop = row["crop"]
    follows = crop["follows"] if crop else "whole"
    return {
        "file": row["file"],
        "status": row["status"],
        "size": f"{row['width']}×{row['height']}" if row["width"] else "",
        "window": "" if follows == "whole" else f"{crop['width']}×{crop['height']} by {follows}",
        "frames": row["frames"],
        "fps": row["fps"],
        "kept": ", ".join(f"{first}-{last}" for first, last in row["kept"]),
        "motion": row["motion"],
        "caption": f"{caption} ({row['caption_from']})" if caption else "",
        "masks": row["masks"],
        "remarks": "; ".join(note for note in notes if note),
    }
