"""`mvmodel masks`: extract, write, edit, preview, check and search mask sequences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mvmodel.cli.inputs import check_inputs_exist
from mvmodel.cli.mask_library import load_library, search_command
from mvmodel.cli.options import (
    AsJson,
    Every,
    FitMasks,
    FitName,
    Invert,
    LibraryFolder,
    MasksArgument,
    MasksOut,
    Overwrite,
    PackName,
    PreviewOut,
    RunSize,
    Seed,
    SegmenterName,
)
from mvmodel.cli.output import print_error, print_json, print_table, stdout_to_stderr
from mvmodel.cli.outputs import mask_inputs, mask_outputs, preview_outputs
from mvmodel.errors import InputError
from mvmodel.outputs import Output, guarded_outputs
from mvmodel.picture_size import PictureSize, parse_size_option

if TYPE_CHECKING:
    from mvmodel.masks import MaskSequence

masks_app = typer.Typer(help="Mask sequences: from footage, from a scene, from text.", no_args_is_help=True)


@masks_app.command("extract", epilog="Example: mvmodel masks extract clip.mp4 --out masks/ --preview masks.mp4")
def extract_command(
    path: Annotated[Path, typer.Argument(help="A video, or a folder of frames.")],
    out: Annotated[
        Path, typer.Option("--out", help="Output folder for one 0/255 PNG per frame; or a .npz, .json, .gif or .mp4.")
    ],
    preview: PreviewOut = None,
    segmenter: SegmenterName = "auto",
    fps: Annotated[
        float | None,
        typer.Option("--fps", help="Frame rate of a folder of frames or a TIFF. Default: 24.", min=0.01, max=1000),
    ] = None,
    overwrite: Overwrite = False,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Segment the foreground of a video without clicks. Writes one PNG per frame, at the size of the source.

    Says if the masks are weak, as `mvmodel masks check` does. Exits with code 1 if there is no foreground in any frame.
    """
    check_inputs_exist({"PATH": path})
    if out.is_dir() and any(file.suffix != ".png" for file in out.iterdir()):
        raise InputError(f"{out} contains files that are not PNGs and would be overwritten; give another --out folder")
    with guarded_outputs(mask_outputs(out, preview), [path], overwrite):
        from mvmodel.masks.files import write_masks
        from mvmodel.masks.preview import write_preview
        from mvmodel.packs import load_pack
        from mvmodel.packs.info import describe_unknown_footage
        from mvmodel.segmentation.selection import choose_segmenters
        from mvmodel.video.decode import decode_video
        from mvmodel.video.probe import probe_video, set_frame_rate

        info = probe_video(path)
        if fps is not None and info.has_rate:
            raise InputError(f"{path} has a frame rate of its own ({info.fps:g}); --fps is for folders of frames")
        model_pack = load_pack(pack)
        if info.note:
            print_error(f"{path}: {info.note}")
        segmenters = choose_segmenters(segmenter, model_pack)
        video = decode_video(path, info=info if fps is None else set_frame_rate(info, fps))
        known = model_pack.knows_footage(video.frames)
        if not known:
            typer.echo(f"note: {describe_unknown_footage(model_pack.info, [path.name])}", err=True)
        extraction, made_by = segmenters.extract(video.frames, fps=video.fps)
        sequence, quality = extraction.sequence, extraction.quality.model_dump()
        write_masks(out, sequence)
        if preview:
            write_preview(preview, sequence, video.frames)
    objects = len(sequence.per_instance) if sequence.masks.any() else 0
    if json:
        record = {"file": str(path), "out": str(out), **_dimensions(sequence)}
        print_json({**record, "objects": objects, "segmenter": made_by, "known": known, **quality})
    else:
        _print_record({"objects": objects, "segmenter": made_by, **quality})
        print(f"{sequence.frames} masks in {out}")
    if not sequence.masks.any():
        print_error(f"no foreground was found in any frame of {path}; draw masks, or try another --segmenter")
        raise typer.Exit(1)
    _warn_if_weak(quality)


@masks_app.command("author", epilog="Example: mvmodel masks author bounce.yaml --out bounce.npz --preview bounce.gif")
def author_command(
    scene: Annotated[Path, typer.Argument(help="A scene in YAML: shapes and their motions (see docs/masks.md).")],
    out: MasksOut,
    frames: Annotated[
        int | None, typer.Option("--frames", help="Number of frames. Default: the scene's.", min=1)
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="WIDTHxHEIGHT", help="Size of the masks in pixels. Default: the scene's."),
    ] = None,
    preview: PreviewOut = None,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Create a mask sequence from a scene file: key masks, paths, physics or sentences."""
    from mvmodel.authoring.scene import read_scene, scene_files, scene_to_masks

    mask_size, folder = parse_size_option(size), scene.resolve().parent
    spec = read_scene(scene)
    with guarded_outputs(mask_outputs(out, preview), [scene, *scene_files(spec, folder)], overwrite):
        if mask_size is not None:
            spec = spec.model_copy(update={"size": mask_size.shape})
        if frames is not None:
            spec = spec.model_copy(update={"frames": frames})
        sequence, assumptions = scene_to_masks(spec, folder)
        _write(sequence, out, preview)
    record = {"out": str(out), **_dimensions(sequence), "objects": list(sequence.names), "assumptions": assumptions}
    _print_result(record, json)


@masks_app.command("from-text", epilog='Example: mvmodel masks from-text "a dog runs from left to right" --out dog.npz')
def from_text_command(
    sentence: Annotated[str, typer.Argument(help="What moves, and how.")],
    out: MasksOut,
    shape: Annotated[
        Path | None,
        typer.Option("--shape", help="A mask picture of the first object. Default: the pack paints the object."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", help="Number of frames. Default: the pack's.", min=2)
    ] = None,
    use_library_motion: Annotated[
        bool, typer.Option("--use-library-motion", help="Use the motion of the most similar clip in the library.")
    ] = False,
    library: LibraryFolder = None,
    preview: PreviewOut = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Also write the pictures that the shapes were cut from.")
    ] = None,
    overwrite: Overwrite = False,
    seed: Seed = 0,
    size: RunSize = None,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Create a mask sequence from a sentence. Prints every assumption that the sentence left open."""
    mask_size = parse_size_option(size)
    outputs = mask_outputs(out, preview) + ([Output(pictures, "--pictures", folder=True)] if pictures else [])
    with guarded_outputs(outputs, [shape, library], overwrite):
        check_inputs_exist({"--shape": shape, "--library": library})
        from mvmodel.authoring.config import TextToMasksConfig
        from mvmodel.authoring.grammar import parse_sentence
        from mvmodel.authoring.shapes import write_pictures
        from mvmodel.authoring.text_to_masks import text_to_masks
        from mvmodel.backends.shape_models import load_shape_models
        from mvmodel.masks.files import read_mask
        from mvmodel.packs import load_pack

        model_pack = load_pack(pack, size=mask_size)
        info = model_pack.info
        motion_library = load_library(library, required=use_library_motion)
        shapes = {parse_sentence(sentence).actors[0].noun: read_mask(shape)} if shape else None
        with stdout_to_stderr():
            result = text_to_masks(
                sentence,
                load_shape_models(model_pack),
                frames or info.frames,
                info.fps,
                info.size.shape,
                TextToMasksConfig(seed=seed),
                shapes,
                motion_library,
                use_library_motion,
            )
        _write(result.sequence, out, preview)
        if pictures:
            write_pictures(pictures, result.pictures)
    record = {"out": str(out), **_dimensions(result.sequence), "objects": list(result.sequence.names)}
    record |= {"assumptions": result.assumptions, "source_entry": result.source_entry}
    _print_result(record | {"nearest": [hit.name for hit in result.nearest]}, json)


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
            sequence = _fit(sequence, mask_size, fit)
        _write(sequence, out, preview)
    empty_frames = int((~sequence.masks.any(axis=(1, 2))).sum())
    record = {"out": str(out), **_dimensions(sequence), "empty_frames": empty_frames}
    _print_result(record | {"coverage": float(sequence.coverage().mean())}, json)
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
            sequence = _fit(sequence, PictureSize(frames.shape[2], frames.shape[1]), fit)
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

    With --for, also whether what is masked stands out. Exits with code 1 if the masks are weak, and with code 2 if they
    cannot be used.
    """
    from mvmodel.masks.files import read_masks
    from mvmodel.segmentation.quality import measure_quality
    from mvmodel.segmentation.tracking import measure_salience
    from mvmodel.video.decode import decode_video

    check_inputs_exist({"--for": clip})
    frames = decode_video(clip).frames if clip else None
    size = None if frames is None else frames.shape[1:3]
    sequence = read_masks(masks, size=size, polarity="black" if invert else "white", every=every, clip=clip)
    salience = None if frames is None else measure_salience(frames, sequence.masks)
    quality = measure_quality(sequence.masks, salience=salience)
    objects = list(sequence.names) or len(sequence.per_instance)
    record = {"file": str(masks), **_dimensions(sequence), "objects": objects, **quality.model_dump()}
    print_json(record) if json else _print_record(record)
    _warn_if_weak(quality.model_dump())
    if quality.weak:
        raise typer.Exit(1)


masks_app.command("search", epilog='Example: mvmodel masks search "gallop"')(search_command)


def _fit(sequence: MaskSequence, size: PictureSize, fit: FitName) -> MaskSequence:
    """Masks fitted into another size; how is said on standard error."""
    from mvmodel.masks.fit import describe_fit, fit_masks

    if remark := describe_fit(sequence, size, fit.value):
        typer.echo(remark, err=True)
    return fit_masks(sequence, size, fit.value)


def _write(sequence: MaskSequence, out: Path, preview: Path | None) -> None:
    from mvmodel.masks.files import write_masks
    from mvmodel.masks.preview import write_preview

    write_masks(out, sequence)
    if preview:
        write_preview(preview, sequence)


def _warn_if_weak(quality: dict[str, Any]) -> None:
    if quality["weak"]:
        print_error(f"the masks are weak: {'; '.join(quality['reasons'])}; look at them with `mvmodel masks preview`")


def _dimensions(sequence: MaskSequence) -> dict[str, Any]:
    return {"frames": sequence.frames, "height": sequence.height, "width": sequence.width, "fps": sequence.fps}


def _print_record(record: dict[str, Any]) -> None:
    print_table(["name", "value"], [[name, value] for name, value in record.items()])


def _print_result(record: dict[str, Any], json: bool) -> None:
    """Print the record of a new mask sequence, and its assumptions on standard error."""
    if json:
        print_json(record)
        return
    for assumption in record.get("assumptions", []):
        typer.echo(f"assumed: {assumption}", err=True)
    _print_record({name: value for name, value in record.items() if name != "assumptions" and value not in ("", [])})
