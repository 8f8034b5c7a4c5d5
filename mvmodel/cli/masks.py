"""`mvmodel masks`: extract, write, edit, preview, check and search mask sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mvmodel.cli.inputs import check_inputs_exist
from mvmodel.cli.mask_creation import author_command, extract_command, from_text_command
from mvmodel.cli.mask_library import search_command
from mvmodel.cli.mask_results import (
    describe_dimensions,
    fit_sequence,
    print_record,
    print_result,
    warn_if_weak,
    write_result,
)
from mvmodel.cli.options import (
    AsJson,
    Every,
    FitMasks,
    FitName,
    Invert,
    MasksArgument,
    Overwrite,
    PreviewOut,
)
from mvmodel.cli.output import print_error, print_json
from mvmodel.cli.outputs import mask_inputs, mask_outputs, preview_outputs
from mvmodel.errors import InputError
from mvmodel.outputs import guarded_outputs
from mvmodel.picture_size import PictureSize, parse_size_option

masks_app = typer.Typer(help="Mask sequences: from footage, from a scene, from text.", no_args_is_help=True)
masks_app.command("extract", epilog="Example: mvmodel masks extract clip.mp4 --out masks/ --preview masks.mp4")(
    extract_command
)
masks_app.command("author", epilog="Example: mvmodel masks author bounce.yaml --out bounce.npz --preview bounce.gif")(
    author_command
)
masks_app.command("from-text", epilog='Example: mvmodel masks from-text "a dog runs from left to right" --out dog.npz')(
    from_text_command
)


@masks_app.command("edit", epilog='Example: mvmodel masks edit dog.npz "flip | duplicate 20 0" --out two.npz')
def edit_command(
    masks: MasksArgument,
    edits: Annotated[str, typer.Argument(help='Edits, applied from left to right and separated by "|"; or "list".')],
    out: Annotated[
        Path | None, typer.Option("--out", help="Output file: .npz, .json, .gif or .mp4; or a folder for PNGs.")
    ] = None,
    preview: PreviewOut = None,
    overwrite: Overwrite = False,
    invert: Invert = False,
    every: Every = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="WIDTHxHEIGHT", help="Size of the result in pixels. Default: as edited."),
    ] = None,
    fit: FitMasks = FitName.crop,
    json: AsJson = False,
) -> None:
    """Edit a mask sequence: move, scale, rotate, flip, retime, loop, duplicate, erode, smooth, combine and more.

    `mvmodel masks edit MASKS list` explains every edit. Exits with code 1 if no foreground is left.
    """
    from mvmodel.masks.edit_script import edit_files, edits_help, run_edits
    from mvmodel.masks.files import read_masks

    if edits.strip() == "list":
        print(edits_help())
        return
    if out is None:
        raise InputError("give the output file with --out")
    mask_size = parse_size_option(size)
    with guarded_outputs(mask_outputs(out, preview), mask_inputs(masks, *map(Path, edit_files(edits))), overwrite):
        sequence = run_edits(read_masks(masks, polarity="black" if invert else "white", every=every), edits)
        if mask_size is not None:
            sequence = fit_sequence(sequence, mask_size, fit)
        write_result(sequence, out, preview)
    empty_frames = int((~sequence.masks.any(axis=(1, 2))).sum())
    record = {"out": str(out), **describe_dimensions(sequence), "empty_frames": empty_frames}
    print_result(record | {"coverage": float(sequence.coverage().mean())}, json)
    if empty_frames == sequence.frames:
        print_error(
            f"the edits left no foreground in any frame of {out}; the object was moved out of the picture or lost"
        )
        raise typer.Exit(1)


@masks_app.command("preview", epilog="Example: mvmodel masks preview dog.npz --out dog.gif --on clip.mp4")
def preview_command(
    masks: MasksArgument,
    out: Annotated[
        Path, typer.Option("--out", help="Output .gif or .mp4. A contact sheet is written next to it: NAME-sheet.png.")
    ],
    on: Annotated[Path | None, typer.Option("--on", help="A clip to overlay the masks on.")] = None,
    overwrite: Overwrite = False,
    invert: Invert = False,
    every: Every = None,
    fit: FitMasks = FitName.crop,
) -> None:
    """Render a mask sequence as an animation and a contact sheet, with one colour per object."""
    with guarded_outputs(preview_outputs(out, "--out"), [*mask_inputs(masks), on], overwrite):
        check_inputs_exist({"--on": on})
        from mvmodel.masks.files import Polarity, read_masks
        from mvmodel.masks.preview import write_preview
        from mvmodel.video.frames import read_frames

        frames = read_frames(on) if on else None
        clip = on if on and on.suffix != ".npz" else None
        count = len(frames) if frames is not None and clip is None else None
        polarity: Polarity = "black" if invert else "white"
        sequence = read_masks(masks, count, polarity=polarity, every=every, clip=clip)
        if frames is not None:
            sequence = fit_sequence(sequence, PictureSize(frames.shape[2], frames.shape[1]), fit)
        print(*write_preview(out, sequence, frames), sep="\n")


@masks_app.command("check", epilog="Example: mvmodel masks check masks/ --for clip.mp4")
def check_command(
    masks: MasksArgument,
    clip: Annotated[
        Path | None, typer.Option("--for", help="The clip of the masks. Size and number of frames must match.")
    ] = None,
    invert: Invert = False,
    every: Every = None,
    json: AsJson = False,
) -> None:
    """Check whether masks can be used: size, number of frames, polarity, empty frames and quality.

    With --for, also whether what is masked stands out. An .npz of `masks extract` holds the segmenter's confidence,
    which is judged too. Exits with code 1 if the masks are weak, and with code 2 if they cannot be used.
    """
    from mvmodel.masks.arrays import read_confidence
    from mvmodel.masks.files import read_masks
    from mvmodel.segmentation.quality import measure_quality
    from mvmodel.segmentation.tracking import measure_salience
    from mvmodel.video.decode import decode_video

    check_inputs_exist({"--for": clip})
    frames = decode_video(clip).frames if clip else None
    size = None if frames is None else frames.shape[1:3]
    sequence = read_masks(masks, size=size, polarity="black" if invert else "white", every=every, clip=clip)
    salience = None if frames is None else measure_salience(frames, sequence.masks)
    confidence = None if invert or every else read_confidence(masks, sequence.frames)
    quality = measure_quality(sequence.masks, confidence, salience=salience)
    objects = list(sequence.names) or len(sequence.per_instance)
    record = {"file": str(masks), **describe_dimensions(sequence), "objects": objects, **quality.model_dump()}
    print_json(record) if json else print_record(record)
    warn_if_weak(quality.model_dump())
    if quality.weak:
        raise typer.Exit(1)


masks_app.command("search", epilog='Example: mvmodel masks search "gallop"')(search_command)
