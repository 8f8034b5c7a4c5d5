"""The masks commands: from footage, from a scene, from words; edited, looked at, checked, searched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mvmodel.cli.options import AsJson, LibraryFolder, MasksArgument, MasksOut, PackName, PreviewOut, Seed
from mvmodel.cli.output import print_json, print_table, stdout_to_stderr
from mvmodel.errors import InputError

if TYPE_CHECKING:
    from mvmodel.authoring.library import Library
    from mvmodel.masks import MaskSequence

masks_app = typer.Typer(help="Mask sequences: from footage, from a scene, from text.", no_args_is_help=True)


@masks_app.command(epilog="Example: mvmodel masks extract clip.mp4 --out masks/ --preview masks.mp4")
def extract(
    path: Annotated[Path, typer.Argument(help="A video, or a folder of frames.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for one 0/255 PNG a frame.")],
    preview: PreviewOut = None,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Find the foreground of a video without a click: one PNG a frame, at the source's size."""
    if out.is_dir() and any(file.suffix != ".png" for file in out.iterdir()):
        raise InputError(f"{out} holds other things than PNGs and would be replaced; give a new folder")
    from mvmodel.masks.preview import write_preview
    from mvmodel.packs import load_pack
    from mvmodel.segmentation.tracking import extract_masks as find
    from mvmodel.video.decode import decode
    from mvmodel.video.encode import write_png_folder

    decoded = decode(path)
    found = find(decoded.frames, load_pack(pack).segmenter(), fps=decoded.fps)
    write_png_folder(out, found.sequence.masks)
    if preview:
        write_preview(preview, found.sequence, decoded.frames)
    quality = found.quality.model_dump()
    objects = len(found.sequence.per_instance) if found.sequence.masks.any() else 0
    if json:
        print_json({"file": str(path), "out": str(out), **_size(found.sequence), "objects": objects, **quality})
    else:
        _print_quality({"objects": objects, **quality})
        print(f"{found.sequence.frames} masks in {out}")


@masks_app.command(epilog="Example: mvmodel masks author bounce.yaml --out bounce.npz --preview bounce.gif")
def author(
    scene: Annotated[Path, typer.Argument(help="A scene in YAML: shapes and how each moves (docs/masks.md).")],
    out: MasksOut,
    frames: Annotated[int | None, typer.Option(help="Another number of frames than the scene says.", min=1)] = None,
    preview: PreviewOut = None,
    json: AsJson = False,
) -> None:
    """Make a mask sequence from a scene: key masks, paths, physics, words."""
    from mvmodel.authoring.scene import author as make
    from mvmodel.authoring.scene import read_scene

    written = read_scene(scene)
    if frames is not None:
        written = written.model_copy(update={"frames": frames})
    sequence, assumptions = make(written, scene.resolve().parent)
    _write(sequence, out, preview)
    _tell({"out": str(out), **_size(sequence), "objects": list(sequence.names), "assumptions": assumptions}, json)


@masks_app.command("from-text", epilog='Example: mvmodel masks from-text "a dog runs from left to right" --out dog.npz')
def from_text(
    sentence: Annotated[str, typer.Argument(help="Who moves and how.")],
    out: MasksOut,
    shape: Annotated[
        Path | None, typer.Option(help="A mask picture of the (first) actor; painted when left out.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="The pack's number when left out.", min=2)] = None,
    borrow: Annotated[bool, typer.Option("--borrow", help="Take the motion of the library's nearest clip.")] = False,
    library: LibraryFolder = None,
    preview: PreviewOut = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for the pictures that shapes were cut from.")] = None,
    seed: Seed = 0,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Make a mask sequence from a sentence; says what the sentence leaves open."""
    from mvmodel.authoring.grammar import understand
    from mvmodel.authoring.text_to_masks import TextToMasksConfig, text_to_masks, write_pictures
    from mvmodel.masks.files import read_mask
    from mvmodel.packs import load_pack

    models = load_pack(pack)
    side = models.info.resolution
    shelf = _library(library, needed=borrow)
    shapes = {understand(sentence).actors[0].noun: read_mask(shape)} if shape else None
    with stdout_to_stderr():
        made = text_to_masks(
            *(sentence, models, frames or models.info.frames, models.info.fps, (side, side)),
            *(TextToMasksConfig(seed=seed), shapes, shelf, borrow),
        )
    _write(made.sequence, out, preview)
    if pictures:
        write_pictures(pictures, made.pictures)
    facts = {
        "out": str(out),
        **_size(made.sequence),
        "objects": list(made.sequence.names),
        "assumptions": made.assumptions,
    }
    _tell(facts | {"lent": made.lent, "nearest": [hit.name for hit in made.nearest]}, json)


@masks_app.command(epilog='Example: mvmodel masks edit dog.npz "flip | scale 0.8 | duplicate 20 0" --out two.npz')
def edit(
    masks: MasksArgument,
    edits: Annotated[str, typer.Argument(help='Edits from left to right, separated by "|"; "list" shows them all.')],
    out: Annotated[Path | None, typer.Option("--out", help=".npz, .json, .gif, .mp4, or a folder of PNGs.")] = None,
    preview: PreviewOut = None,
    json: AsJson = False,
) -> None:
    """Edit a mask sequence: move, scale, rotate, flip, retime, loop, duplicate, erode, smooth, combine and more."""
    from mvmodel.masks.edit_script import edits_help, run_edits
    from mvmodel.masks.files import read_masks

    if edits.strip() == "list":
        print(edits_help())
        return
    if out is None:
        raise InputError("say where to write it, with --out")
    before = read_masks(masks)
    sequence = run_edits(before, edits)
    _write(sequence, out, preview)
    facts = {"out": str(out), **_size(sequence), "empty_frames": int((~sequence.masks.any(axis=(1, 2))).sum())}
    _tell(facts | {"coverage": float(sequence.coverage().mean())}, json)


@masks_app.command(epilog="Example: mvmodel masks preview dog.npz --out dog.gif --on clip.mp4")
def preview(
    masks: MasksArgument,
    out: Annotated[Path, typer.Option("--out", help=".gif or .mp4; NAME-sheet.png goes beside it.")],
    on: Annotated[Path | None, typer.Option(help="The clip to tint them into.")] = None,
) -> None:
    """Make a mask sequence visible: a moving picture and a contact sheet, an object a colour."""
    from mvmodel.masks.files import read_masks
    from mvmodel.masks.preview import write_preview
    from mvmodel.video.decode import decode

    frames = decode(on).frames if on else None
    sequence = read_masks(masks) if frames is None else read_masks(masks, len(frames), frames.shape[1:3])
    print(*write_preview(out, sequence, frames), sep="\n")


@masks_app.command(epilog="Example: mvmodel masks check masks/ --for clip.mp4")
def check(
    masks: MasksArgument,
    clip: Annotated[
        Path | None, typer.Option("--for", help="The clip they belong to: size and count must agree.")
    ] = None,
    black: Annotated[bool, typer.Option("--black", help="The object is black.")] = False,
    json: AsJson = False,
) -> None:
    """Say whether masks can be used: size, count, polarity, emptiness, quality. Exit code 1 when they are weak."""
    from mvmodel.masks.files import read_masks
    from mvmodel.segmentation.quality import measure_quality
    from mvmodel.video.probe import probe_video

    facts = probe_video(clip) if clip else None
    frames, size = (facts.frames, (facts.height, facts.width)) if facts else (None, None)
    sequence = read_masks(masks, frames, size, polarity="black" if black else "white")
    quality = measure_quality(sequence.masks)
    objects = list(sequence.names) or len(sequence.per_instance)
    shown = {"file": str(masks), **_size(sequence), "objects": objects, **quality.model_dump()}
    print_json(shown) if json else _print_quality(shown)
    if quality.weak:
        raise typer.Exit(1)


@masks_app.command(epilog='Example: mvmodel masks search "gallop"')
def search(
    query: Annotated[str, typer.Argument(help="Words: a motion, a thing, a sentence.")],
    library: LibraryFolder = None,
    most: Annotated[int, typer.Option(help="How many to show.", min=1)] = 5,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Find mask sequences in the pipeline's library by words."""
    shelf = _library(library, needed=True)
    assert shelf is not None
    embed = None
    if shelf.embeddings is not None:
        from mvmodel.packs import load_pack

        with stdout_to_stderr():
            embed = load_pack(pack).scorer().texts
    hits = shelf.search(query, embed, most=most)
    if json:
        print_json([vars(hit) | {"file": str(shelf.folder / "masks" / f"{hit.name}.npz")} for hit in hits])
    elif hits:
        rows = [[hit.name, hit.score, hit.motion, hit.caption, hit.why] for hit in hits]
        print_table(["name", "score", "motion", "caption", "why"], rows)
    else:
        print(f"nothing in {shelf.folder} matches {query!r}; it holds {len(shelf.table)} mask sequences")


def _library(folder: Path | None, needed: bool) -> Library | None:
    """The library of a folder, or the newest that the pipeline made in the usual place."""
    from mvmodel.authoring.library import Library

    if folder is not None:
        return Library.load(folder)
    made = sorted(
        Path(".mvmodel").glob("*/store/mask_library/*/*/library.parquet"), key=lambda path: path.stat().st_mtime
    )
    if made:
        return Library.load(made[-1].parent)
    if needed:
        raise InputError(
            "no library was found under .mvmodel; run the pipeline (make demo), or give one with --library"
        )
    return None


def _write(sequence: MaskSequence, out: Path, preview: Path | None) -> None:
    from mvmodel.masks.files import write_masks
    from mvmodel.masks.preview import write_preview

    write_masks(out, sequence)
    if preview:
        write_preview(preview, sequence)


def _size(sequence: MaskSequence) -> dict[str, Any]:
    size = {"height": sequence.height, "width": sequence.width, "fps": sequence.fps}
    return {"frames": sequence.frames, **size}


def _print_quality(quality: dict[str, Any]) -> None:
    print_table(["quality", "value"], [[name, value] for name, value in quality.items()])


def _tell(facts: dict[str, Any], json: bool) -> None:
    """Print what was made, and on standard error what is in doubt about it."""
    if json:
        print_json(facts)
        return
    for doubt in facts.pop("assumptions", []):
        typer.echo(f"in doubt: {doubt}", err=True)
    _print_quality({name: value for name, value in facts.items() if value not in ("", [])})
