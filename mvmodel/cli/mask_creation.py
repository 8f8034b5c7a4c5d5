"""`mvmodel masks extract`, `author` and `from-text`: mask sequences from footage, from a scene, from a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mvmodel.cli.inputs import check_inputs_exist
from mvmodel.cli.mask_library import load_library
from mvmodel.cli.mask_results import (
    describe_dimensions,
    print_record,
    print_result,
    warn_if_weak,
    write_result,
)
from mvmodel.cli.options import (
    AsJson,
    LibraryFolder,
    MasksOut,
    Overwrite,
    PackName,
    PreviewOut,
    RunSize,
    Seed,
    SegmenterName,
)
from mvmodel.cli.output import print_error, print_json, stdout_to_stderr
from mvmodel.cli.outputs import mask_outputs
from mvmodel.errors import InputError
from mvmodel.outputs import Output, guarded_outputs
from mvmodel.picture_size import parse_size_option


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
        is_known = model_pack.knows_footage(video.frames)
        if not is_known:
            typer.echo(f"note: {describe_unknown_footage(model_pack.info, [path.name])}", err=True)
        extraction, made_by = segmenters.extract(video.frames, fps=video.fps)
        sequence, quality = extraction.sequence, extraction.quality.model_dump()
        write_masks(out, sequence, extraction.confidence)
        if preview:
            write_preview(preview, sequence, video.frames)
    objects = len(sequence.per_instance) if sequence.masks.any() else 0
    if json:
        record = {"file": str(path), "out": str(out), **describe_dimensions(sequence)}
        print_json({**record, "objects": objects, "segmenter": made_by, "known": is_known, **quality})
    else:
        print_record({"objects": objects, "segmenter": made_by, **quality})
        print(f"{sequence.frames} masks in {out}")
    if not sequence.masks.any():
        print_error(f"no foreground was found in any frame of {path}; draw masks, or try another --segmenter")
        raise typer.Exit(1)
    warn_if_weak(quality)


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
        write_result(sequence, out, preview)
    record = {
        "out": str(out),
        **describe_dimensions(sequence),
        "objects": list(sequence.names),
        "assumptions": assumptions,
    }
    print_result(record, json)


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
        _check_sentence(sentence, library, use_library_motion)
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
        write_result(result.sequence, out, preview)
        if pictures:
            write_pictures(pictures, result.pictures)
    record = {"out": str(out), **describe_dimensions(result.sequence), "objects": list(result.sequence.names)}
    record |= {"assumptions": result.assumptions, "source_entry": result.source_entry}
    print_result(record | {"nearest": [hit.name for hit in result.nearest]}, json)


def _check_sentence(sentence: str, library: Path | None, use_library_motion: bool) -> None:
    """Raises InputError for a sentence that the grammar does not know, before models are imported.

    With a mask library, the sentence may name a motion of it instead; or it asks for the most similar one.
    """
    from mvmodel.authoring.grammar import parse_sentence

    try:
        parse_sentence(sentence)
    except InputError:
        motion_library = load_library(library, required=use_library_motion)
        if motion_library is None or not (use_library_motion or motion_library.names_motion(sentence)):
            raise
