"""What the commands of `mvmodel masks` share: they write a mask sequence and say what it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mvmodel.cli.options import FitName
from mvmodel.cli.output import print_error, print_json, print_table
from mvmodel.picture_size import PictureSize

if TYPE_CHECKING:
    from mvmodel.masks import MaskSequence


def fit_sequence(sequence: MaskSequence, size: PictureSize, fit: FitName) -> MaskSequence:
    """Masks fitted into another size; how is said on standard error."""
    from mvmodel.masks.fit import describe_fit, fit_masks

    if remark := describe_fit(sequence, size, fit.value):
        typer.echo(remark, err=True)
    return fit_masks(sequence, size, fit.value)


def write_result(sequence: MaskSequence, out: Path, preview: Path | None) -> None:
    from mvmodel.masks.files import write_masks
    from mvmodel.masks.preview import write_preview

    write_masks(out, sequence)
    if preview:
        write_preview(preview, sequence)


def warn_if_weak(quality: dict[str, Any]) -> None:
    if quality["weak"]:
        print_error(f"the masks are weak: {'; '.join(quality['reasons'])}; look at them with `mvmodel masks preview`")


def describe_dimensions(sequence: MaskSequence) -> dict[str, Any]:
    return {"frames": sequence.frames, "height": sequence.height, "width": sequence.width, "fps": sequence.fps}


def print_record(record: dict[str, Any]) -> None:
    print_table(["name", "value"], [[name, value] for name, value in record.items()])


def print_result(record: dict[str, Any], json: bool) -> None:
    """Print the record of a new mask sequence, and its assumptions on standard error."""
    if json:
        print_json(record)
        return
    for assumption in record.get("assumptions", []):
        typer.echo(f"assumed: {assumption}", err=True)
    print_record({name: value for name, value in record.items() if name != "assumptions" and value not in ("", [])})
